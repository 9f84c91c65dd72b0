package agent_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
)

// refusal is a server that refuses a device, and what the device then says.
type refusal struct {
	name  string
	setUp func(t *testing.T, s *trialserver.Server)
	link  string
	kind  ward.Kind // empty for an error that is not for people
	want  string
}

// serveProfile has s answer a path with a profile, signed or not.
func serveProfile(t *testing.T, s *trialserver.Server, path string, profile func() ([]byte, error)) {
	t.Helper()
	s.Handle("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-apple-aspen-config")
		b, err := profile()
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			t.Errorf("serve %s: %v", path, err)
		}
	})
}

// inSCEP changes one key of the SCEP payload.
func inSCEP(key string, value any) func(*testing.T, *trialserver.Server) {
	return func(_ *testing.T, s *trialserver.Server) {
		s.Edit = func(p map[string]any) {
			p["PayloadContent"].([]any)[1].(map[string]any)["PayloadContent"].(map[string]any)[key] = value
		}
	}
}

func refusals() []refusal {
	return []refusal{
		{"not https", nil, "http://127.0.0.1/enrol", ward.Invalid, "https://"},
		{"no such invitation", nil, "/missing", ward.NotFound, "Not Found"},
		{"used invitation", func(_ *testing.T, s *trialserver.Server) {
			s.Handle("GET /used", func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, `{"title":"Gone","detail":"This invitation was used."}`, http.StatusGone)
			})
		}, "/used", ward.Conflict, "This invitation was used."},
		{"a page", func(_ *testing.T, s *trialserver.Server) {
			s.Handle("GET /page", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") })
		}, "/page", ward.Invalid, "text/html"},
		{"unsigned", func(t *testing.T, s *trialserver.Server) {
			serveProfile(t, s, "/unsigned", func() ([]byte, error) { return agent.EncodePlist(s.Profile()) })
		}, "/unsigned", "", "not signed"},
		{"signed by a stranger", func(t *testing.T, s *trialserver.Server) {
			serveProfile(t, s, "/stranger", trialserver.New(t).SignedProfile)
		}, "/stranger", "", "verify signer"},
		{"wrong challenge", inSCEP("Challenge", "guess"), "/enrol", "", "the authority refuses"},
		{"wrong fingerprint", inSCEP("CAFingerprint", []byte("x")), "/enrol", "", "fingerprint"},
		{"user enrolment", func(_ *testing.T, s *trialserver.Server) {
			s.Edit = func(p map[string]any) {
				p["PayloadContent"].([]any)[2].(map[string]any)["EnrollmentMode"] = "BYOD"
			}
		}, "/enrol", ward.Invalid, "user enrolment"},
		{"no rights", func(_ *testing.T, s *trialserver.Server) { s.Rights = 0 }, "/enrol", "", "AccessRights"},
		{"server refuses Authenticate", func(_ *testing.T, s *trialserver.Server) {
			s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/checkin" {
					w.WriteHeader(http.StatusForbidden)
				}
				return r.URL.Path == "/checkin"
			}
		}, "/enrol", ward.Forbidden, "Forbidden"},
	}
}

func TestEnrolRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range refusals() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			if tc.setUp != nil {
				tc.setUp(t, s)
			}
			c := newClient(t, s, nil)
			link := tc.link
			if strings.HasPrefix(link, "/") {
				link = s.URL + link
			}
			err := c.Enrol(t.Context(), link)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Enrol() = %v, want an error with %q", err, tc.want)
			}
			if e, ok := errors.AsType[*ward.Error](err); ok != (tc.kind != "") || ok && e.Kind != tc.kind {
				t.Errorf("kind of %v, want %q", err, tc.kind)
			}
			if _, err := c.Enrolment(); !errors.Is(err, agent.ErrNotEnrolled) {
				t.Errorf("Enrolment() error = %v, want ErrNotEnrolled", err)
			}
		})
	}
}
