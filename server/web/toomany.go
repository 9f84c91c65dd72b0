package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
)

// TooMany answers somebody who asks too often with the page that says for how long to wait.
func (s *Server) TooMany(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	s.outside(w, r, func(w http.ResponseWriter, r *http.Request) {
		s.renderError(w, r, &errorPage{
			Page: Page{Title: "Too many requests"}, Status: http.StatusTooManyRequests, RequestID: ward.RequestID(r.Context()),
			Message: fmt.Sprintf("More was asked from your address than one place asks. Try again in %s. Nothing was done.", plural(httpd.Seconds(wait), "second")),
		})
	})
}
