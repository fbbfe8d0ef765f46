package job_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/coordd/coordd/job"
)

func TestAResultSurvivesJSONWhateverItsBytesAre(t *testing.T) {
	for data, want := range map[string]string{
		"":            `{"index":0,"status":"","attempt":0,"exit_code":null}`,
		"42\n":        `{"index":0,"status":"","attempt":0,"exit_code":null,"result":"42\n"}`,
		"ä\x00":       `{"index":0,"status":"","attempt":0,"exit_code":null,"result":"ä\u0000"}`,
		"\xff\xfe ok": `{"index":0,"status":"","attempt":0,"exit_code":null,"result_base64":"//4gb2s="}`,
	} {
		var s, back job.SubtaskSnapshot
		s.SetResult([]byte("what was there before"))
		s.SetResult([]byte(data))
		text, err := json.Marshal(s)
		if err != nil || string(text) != want {
			t.Errorf("%q is %s, %v; want %s", data, text, err, want)
		}
		if err := json.Unmarshal(text, &back); err != nil || !bytes.Equal(back.ResultData(), []byte(data)) {
			t.Errorf("%q was read as %q, %v", data, back.ResultData(), err)
		}
	}
}
