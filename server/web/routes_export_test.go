package web

import "strings"

// Shown lists the addresses of pages that take no part of an address. The stream of events is
// no page, and never ends.
func (s *Server) Shown() (out []string) {
	for _, r := range s.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if method == "GET" && !strings.Contains(path, "{") && r.needs != anyone && path != "/events" {
			out = append(out, path)
		}
	}
	return out
}
