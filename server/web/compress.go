package web

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
)

// minCompressed is the shortest page that is worth compressing, in bytes.
const minCompressed = 1400

// compress makes a page shorter for a browser that takes it so, and says so in the header.
//
// How long a compressed answer is tells something of what stands in it, and whoever can have
// parts of his choosing put into it, again and again, may guess the rest (BREACH). Pages hold
// no secret for that: forms are protected by where they come from, not by a word in them, and
// the session's cookie is in no page and is not sent with what other sites load. What is shown
// once, such as a token, a PIN or a recovery code, is the answer to a POST, and those are left
// as they are; so is the page of a link, whose address is the secret.
func (s *Server) compress(w http.ResponseWriter, r *http.Request, status int, b *bytes.Buffer) error {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	if r.Method != http.MethodGet || status != http.StatusOK || b.Len() < minCompressed || r.PathValue("secret") != "" || !takesGzip(r) {
		return nil
	}
	z, ok := s.zips.Get().(*gzip.Writer)
	if !ok {
		z = gzip.NewWriter(nil)
	}
	defer s.zips.Put(z)
	var short bytes.Buffer
	z.Reset(&short)
	if _, err := b.WriteTo(z); err != nil {
		return fmt.Errorf("compress page: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress page: %w", err)
	}
	*b = short
	h.Set("Content-Encoding", "gzip")
	return nil
}

// takesGzip reports whether a browser says that it takes gzip; q=0 says that it does not.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q = strings.ReplaceAll(q, " ", "")
			return !strings.HasPrefix(q, "q=0") || strings.Trim(q[len("q=0"):], ".0") != ""
		}
	}
	return false
}
