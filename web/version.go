package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Version says what a binary was built from. Its JSON is the API's.
type Version struct {
	// Version is the release, for example "v0.1.0", or "devel".
	Version string `json:"version" example:"v0.1.0"`
	// Commit is the revision, empty when unknown.
	Commit string `json:"commit,omitempty"`
	// Go is the version of the compiler.
	Go string `json:"go,omitempty" example:"go1.26.0"`
}

type versionOutput struct {
	Body Version
}

func (s *Server) versionRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "version",
		Method:      http.MethodGet,
		Path:        "/v1/version",
		Summary:     "What this node runs",
		Responses:   problems(api, http.StatusInternalServerError),
	}, func(context.Context, *struct{}) (*versionOutput, error) {
		return &versionOutput{Body: s.cfg.Version}, nil
	})
}
