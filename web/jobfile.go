package web

import (
	"fmt"
	"mime"
	"net/http"

	"github.com/coordd/coordd/job"
)

// parseJob reads a job file. JSON is a subset of YAML, so one parser serves both,
// and a body without a type too. Other types are refused: they are what a form of
// a web page or a forgotten flag of curl sends.
func parseJob(contentType string, body []byte) (job.Graph, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = contentType
	}
	switch media {
	case "", "application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml":
		return job.Parse("", body)
	}
	return job.Graph{}, newProblem(http.StatusUnsupportedMediaType, CodeMediaType, fmt.Sprintf(
		"Content-Type %q is not a job file's; send application/yaml or application/json", contentType))
}

// submissionID returns the ID under which a job is submitted.
func submissionID(text string) (job.ID, error) {
	if text == "" {
		return job.NewID(), nil
	}
	id := job.ID(text)
	return id, id.Validate()
}

// invalidJob lists what is wrong with a job file.
func invalidJob(invalid *job.InvalidError) *ProblemError {
	p := newProblem(http.StatusUnprocessableEntity, CodeInvalidJob, invalid.Error())
	p.Problems = invalid.Problems
	return p
}
