package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/leader"
)

func Example() {
	// Stands for a node of a cluster.
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"component":"dispatcher","known":true,"leader":{"id":"node-2","epoch":4294967321}}`)
	}))
	defer node.Close()

	c, err := client.New(client.Config{Addresses: []string{node.URL}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	l, err := c.Leader(context.Background(), leader.Dispatcher)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Leader.ID, l.Leader.Epoch)
	// Output: node-2 4294967321
}
