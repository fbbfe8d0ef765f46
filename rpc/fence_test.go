package rpc_test

import (
	"errors"
	"testing"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

func TestAFenceAdmitsItsOwnTermOnly(t *testing.T) {
	own, other := leader.TermID{SessionID: "a", Epoch: 7}, leader.TermID{SessionID: "b", Epoch: 8}
	f := rpc.NewFence("job_master/etl", own, func(*rpc.PanicError) {})
	if err := f.Admit(own); err != nil {
		t.Errorf("its own term: %v", err)
	}
	for _, token := range []leader.TermID{other, {}, {SessionID: "a", Epoch: 8}, {SessionID: "b", Epoch: 7}} {
		if err := f.Admit(token); !errors.Is(err, rpc.ErrFencingToken) {
			t.Errorf("token %v: %v, want ErrFencingToken", token, err)
		}
	}
}

func TestAFencePassesAPanicOn(t *testing.T) {
	var told *rpc.PanicError
	f := rpc.NewFence("worker/a", leader.TermID{}, func(p *rpc.PanicError) { told = p })
	call := func() (err error) {
		defer f.Recover(&err)
		panic("boom")
	}
	var p *rpc.PanicError
	if err := call(); !errors.As(err, &p) || p != told || p.Value != "boom" || p.Endpoint != "worker/a" {
		t.Errorf("the call returned %v, and %+v was told; want the panic at both", err, told)
	}
}
