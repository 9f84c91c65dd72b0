package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/wardmdm/ward"
)

// Status returns the HTTP status that answers an error of a kind. It is the only table
// of its sort: API, pages and command line all go by it. The empty kind is 200.
func Status(k ward.Kind) int {
	switch k {
	case "":
		return http.StatusOK
	case ward.Invalid:
		return http.StatusBadRequest
	case ward.Unauthenticated:
		return http.StatusUnauthorized
	case ward.Forbidden:
		return http.StatusForbidden
	case ward.NotFound:
		return http.StatusNotFound
	case ward.Conflict:
		return http.StatusConflict
	case ward.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// KindOf returns the kind that a status of 400 or more answers. Statuses that are in no
// line of the table are Invalid below 500 and Internal from there on.
func KindOf(status int) ward.Kind {
	for _, k := range []ward.Kind{ward.Unauthenticated, ward.Forbidden, ward.NotFound, ward.Conflict, ward.Unavailable} {
		if Status(k) == status {
			return k
		}
	}
	if status < http.StatusInternalServerError {
		return ward.Invalid
	}
	return ward.Internal
}

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// Problem is an error as the API tells it.
// Source: RFC 9457, sections 3.1 and 3.2 (kind, details and request_id are extensions).
type Problem struct {
	Title     string    `json:"title" doc:"What the status means."`
	Status    int       `json:"status" doc:"The HTTP status."`
	Kind      ward.Kind `json:"kind" doc:"What sort of error it is, for programs." enum:"invalid,not_found,conflict,forbidden,unauthenticated,unavailable,internal"`
	Detail    string    `json:"detail" doc:"What is wrong and what to do, for people."`
	Details   []string  `json:"details,omitempty" nullable:"false" doc:"Every mistake, when there are several."`
	RequestID string    `json:"request_id,omitempty" doc:"The request's id, which its line in the log has too."`
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status; huma asks for it by this name.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns ProblemType; huma asks for it by this name.
func (p *Problem) ContentType(string) string { return ProblemType }

// ProblemOf returns what a person may know of err: the words of a *ward.Error, and of
// any other error no more than that something went wrong, with the request's id. err
// must not be nil.
func ProblemOf(ctx context.Context, err error) *Problem {
	p := &Problem{Kind: ward.KindOf(err), RequestID: ward.RequestID(ctx)}
	e, known := errors.AsType[*ward.Error](err)
	tooLarge, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case known && e.Kind != ward.Internal:
		p.Detail, p.Details = e.Message, e.Details
	case large:
		p.Kind, p.Status = ward.Invalid, http.StatusRequestEntityTooLarge
		p.Detail = ward.Errorf(ward.Invalid, "The request is too large: %d bytes are the most that is read.", tooLarge.Limit).Message
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p.Kind, p.Detail = ward.Unavailable, "The answer took too long. Try again."
	default:
		p.Kind, p.Detail = ward.Internal, wentWrong(p.RequestID)
	}
	if p.Status == 0 {
		p.Status = Status(p.Kind)
	}
	p.Title = http.StatusText(p.Status)
	return p
}

func wentWrong(id string) string {
	if id == "" {
		return "Something went wrong."
	}
	return "Something went wrong. The log says more under the request id " + id + "."
}

// WriteError answers a request with err as problem+json and notes err for the log: see
// Note. Nothing may have been written before.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	Note(r.Context(), err)
	WriteProblem(w, ProblemOf(r.Context(), err))
}

// WriteProblem answers a request with p.
func WriteProblem(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	h.Set("Content-Type", ProblemType)
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="ward"`) // RFC 9110, section 11.6.1
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller who hung up needs no answer
}
