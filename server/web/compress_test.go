package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestCompress: a page that a browser looks at is short on its way; the answer to a form, on
// which secrets are shown once, and the page of a secret link are left as they are.
func TestCompress(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("<p>A device.</p>", 500)
	for _, tc := range []struct {
		name, method, takes, secret, page string
		status                            int
		want                              bool
	}{
		{"a page", "GET", "br, gzip", "", page, 200, true},
		{"twice", "GET", "gzip;q=0.5", "", page, 200, true},
		{"not taken", "GET", "", "", page, 200, false},
		{"refused", "GET", "gzip;q=0", "", page, 200, false},
		{"another", "GET", "br", "", page, 200, false},
		{"an answer to a form", "POST", "gzip", "", page, 200, false},
		{"an error", "GET", "gzip", "", page, 404, false},
		{"a secret link", "GET", "gzip", "abc", page, 200, false},
		{"short", "GET", "gzip", "", "<p>Hello.</p>", 200, false},
	} {
		s, r := &Server{}, httptest.NewRequestWithContext(t.Context(), tc.method, "/", nil)
		r.Header.Set("Accept-Encoding", tc.takes)
		r.SetPathValue("secret", tc.secret)
		for range 2 { // the second one uses the first one's writer
			w := httptest.NewRecorder()
			b := bytes.NewBufferString(tc.page)
			if err := s.compress(w, r, tc.status, b); err != nil {
				t.Fatal(err)
			}
			got := b.String()
			if short := w.Header().Get("Content-Encoding") == "gzip"; short != tc.want || w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: compressed %v, want %v; header %v", tc.name, short, tc.want, w.Header())
			}
			if tc.want {
				z, err := gzip.NewReader(b)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(z)
				if err != nil {
					t.Fatal(err)
				}
				got = string(plain)
			}
			if got != tc.page {
				t.Errorf("%s: %d bytes come, want the page's %d", tc.name, len(got), len(tc.page))
			}
		}
	}
}
