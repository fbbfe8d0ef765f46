package web

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coordd/coordd/job"
)

// schemaName keeps the two kinds of problems apart in the OpenAPI document.
func schemaName(t reflect.Type, hint string) string {
	switch t {
	case reflect.TypeFor[job.Problem]():
		return "JobProblem"
	case reflect.TypeFor[ProblemError]():
		return "Problem"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// problems documents the errors of an operation.
func problems(api huma.API, statuses ...int) map[string]*huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[ProblemError](), true, "Problem")
	responses := make(map[string]*huma.Response, len(statuses)+1)
	for _, status := range append(statuses, http.StatusInternalServerError) {
		response := &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
		}
		if status == http.StatusServiceUnavailable {
			response.Headers = map[string]*huma.Param{
				"Retry-After": {Schema: &huma.Schema{Type: huma.TypeInteger, Description: "Seconds."}},
			}
		}
		responses[strconv.Itoa(status)] = response
	}
	return responses
}
