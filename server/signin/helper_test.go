package signin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// swap stands between a client and the provider.
type swap struct {
	next http.RoundTripper
	kept *atomic.Value
	give bool
}

// RoundTrip meets http.RoundTripper.
func (s swap) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.next.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/token") {
		return res, err
	}
	defer res.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return nil, err
	}
	if s.give {
		body["id_token"] = s.kept.Load()
	} else {
		s.kept.Store(body["id_token"])
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	res.Header.Del("Content-Length")
	return res, nil
}
