package api_test

import (
	"archive/zip"
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/evidence"
)

// reports makes reports that say what was asked for.
type reports struct{}

func (reports) File(_ context.Context, r evidence.Request) (evidence.File, error) {
	said := strings.Join([]string{r.Pack, r.Period.String(), r.App, r.Person, r.AsOf.UTC().Format(time.DateOnly)}, " ")
	return evidence.File{ID: r.Pack, Made: start, Parts: []evidence.Part{{Name: r.Pack + ".pdf", Body: []byte(said)}}}, nil
}

func TestReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, lead := w.person("Ida", ward.RoleGovern)
	_, desk := w.person("Hal", ward.RoleSupport)
	if got := w.do(lead, get, "/evidence", nil); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"id":"board"`) {
		t.Errorf("GET /evidence = %d: %s", got.Code, got.Body)
	}
	for _, tt := range []struct {
		name, token string
		body        map[string]any
		status      int
		says        string
	}{
		{"a month", lead, map[string]any{"pack": "board", "period": "2025-03"}, 200, "board 2025-03   0001-01-01"},
		{"a question", lead, map[string]any{"pack": "question", "app": "whatsapp", "as_of": "2025-03-12T09:00:00Z"}, 200, "whatsapp  2025-03-12"},
		{"no such report", lead, map[string]any{"pack": "gossip"}, 400, "GET /evidence lists"},
		{"no month", lead, map[string]any{"pack": "board", "period": "2025-13"}, 400, "Write it as year and month"},
		{"the help desk", desk, map[string]any{"pack": "board"}, 403, "evidence:read"},
	} {
		got := w.do(tt.token, post, "/evidence", tt.body)
		text := got.Body.String()
		if got.Code == http.StatusOK {
			z, err := zip.NewReader(bytes.NewReader(got.Body.Bytes()), int64(got.Body.Len()))
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			f, err := z.Open(tt.body["pack"].(string) + ".pdf")
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			var b bytes.Buffer
			if _, err := b.ReadFrom(f); err != nil {
				t.Fatal(err)
			}
			text = b.String()
		}
		if got.Code != tt.status || !strings.Contains(text, tt.says) {
			t.Errorf("%s: %d %s, want %d and %q", tt.name, got.Code, text, tt.status, tt.says)
		}
	}
}
