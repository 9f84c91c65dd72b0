package api

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
)

// maxPolicy bounds a policy with the files that it names, in base64.
const maxPolicy = 8 * maxBody

// policyInput is a policy, as its text alone or as a PolicyDraft.
type policyInput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte `contentType:"text/yaml" doc:"The policy file."`
}

// PolicyDraft is a policy with the files that it names and, where it is to be published,
// how.
type PolicyDraft struct {
	Text    string            `json:"text" doc:"The policy file."`
	Files   map[string][]byte `json:"files,omitempty" doc:"The files that it names, by their names there."`
	Reason  string            `json:"reason,omitempty" doc:"Why it is published; an approver reads it."`
	Canary  []string          `json:"canary,omitempty" doc:"Groups of devices that get it first."`
	Percent []int             `json:"percent,omitempty" doc:"How many of a hundred of the other devices have it after each further ring, such as 10, 50, 100."`
	Pause   *int64            `json:"pause_seconds,omitempty" doc:"How long a ring is watched; 1800 if left out."`
	StopAt  float64           `json:"stop_at,omitempty" doc:"The share of devices in open rings, 0 to 1, at which failures stop it; 0.05 if left out."`
	Replace bool              `json:"replace,omitempty" doc:"Take the place of a rollout that is under way."`
}

// draft reads the body: JSON where the request says so, else the text alone.
func (in *policyInput) draft() (policy.Draft, error) {
	kind, _, err := mime.ParseMediaType(in.ContentType)
	if err != nil || kind != "application/json" {
		return policy.Draft{Text: in.RawBody}, nil
	}
	if !json.Valid(in.RawBody) {
		return policy.Draft{}, ward.Errorf(ward.Invalid, "The request can't be read: it is no JSON.")
	}
	var d PolicyDraft
	if err := unmarshalStrict(in.RawBody, &d); err != nil {
		return policy.Draft{}, ward.Errorf(ward.Invalid, "The request can't be read: %s.", strings.TrimPrefix(err.Error(), "json: "))
	}
	out := policy.Draft{Text: []byte(d.Text), Files: d.Files, Reason: d.Reason, Replace: d.Replace}
	out.Rings = policy.Rings{Canary: d.Canary, Percent: d.Percent, StopAt: d.StopAt}
	switch rings := len(d.Canary)+len(d.Percent) > 0; {
	case d.Pause != nil:
		if *d.Pause < 0 || *d.Pause > int64(365*24*time.Hour/time.Second) {
			return out, ward.Errorf(ward.Invalid, "The pause between rings can be 30 days at most.")
		}
		out.Rings.Pause = time.Duration(*d.Pause) * time.Second
	case rings:
		out.Rings.Pause = policy.DefaultPause
	}
	return out, nil
}

// unmarshalStrict is unmarshal that takes no field it does not know. What it repeats of
// the body are names of fields only.
func unmarshalStrict(raw []byte, v any) error {
	if err := unmarshal(raw, new(any)); err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errors.New("the field " + t.Field + " is of another type")
	}
	if err != nil && !strings.Contains(err.Error(), "unknown field") {
		return errors.New("it is not as the API describes it")
	}
	return err
}

// alsoJSON notes in the description that an operation takes a PolicyDraft too.
func (s *server) alsoJSON(method, path string) {
	item := s.api.OpenAPI().Paths[Prefix+path]
	op := map[string]*huma.Operation{http.MethodPut: item.Put, http.MethodPost: item.Post}[method]
	op.RequestBody.Content["application/json"] = &huma.MediaType{
		Schema: s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[PolicyDraft](), true, "PolicyDraft"),
	}
}
