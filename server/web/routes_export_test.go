package web

import "strings"

// Shown lists the addresses of pages that take no part of an address.
func (s *Server) Shown() (out []string) {
	for _, r := range s.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if method == "GET" && !strings.Contains(path, "{") && r.needs != anyone {
			out = append(out, path)
		}
	}
	return out
}
