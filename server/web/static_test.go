package web

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
)

// TestLogo: an organisation's logo is served as a picture in which nothing runs.
func TestLogo(t *testing.T) {
	t.Parallel()
	svg := []byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)
	a, err := loadAssets(svg)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", a.logo, nil)
	r.SetPathValue("file", strings.TrimPrefix(a.logo, "/static/"))
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	policy := w.Header().Get("Content-Security-Policy")
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || w.Body.String() != string(svg) || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") {
		t.Errorf("the logo = %d, %v, %d bytes", w.Code, w.Header(), w.Body.Len())
	}
	if a, err := loadAssets([]byte("\x89PNG\r\n\x1a\nrest")); err != nil || !strings.HasSuffix(a.logo, ".png") {
		t.Errorf("a PNG = %q, %v", a.logo, err)
	}
	for _, bad := range []string{"GIF89a", "<html>", strings.Repeat("<svg", maxLogo)} {
		if err := CheckLogo([]byte(bad)); ward.KindOf(err) != ward.Invalid {
			t.Errorf("CheckLogo(%.10q) = %v, want Invalid", bad, err)
		}
	}
	if a, err := loadAssets(nil); err != nil || a.logo != "" {
		t.Errorf("no logo = %q, %v", a.logo, err)
	}
}
