package applemdm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/micromdm/nanolib/log"
	"github.com/micromdm/nanolib/log/ctxlog"
	httpmdm "github.com/micromdm/nanomdm/http/mdm"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/nanomdm/service"
)

// checkinType begins the media type of a check-in; everything else is a report.
const checkinType = "application/x-apple-aspen-mdm-checkin"

// rawKey finds the body of a request, which was read whole, in its context.
type rawKey struct{}

// reports answers the reports that quick can read, and leaves the others and all
// check-ins to next, nanomdm's handler, which does the same for all of them.
func (s *Service) reports(next http.Handler, l log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := r.Context().Value(rawKey{}).([]byte)
		if !ok || strings.HasPrefix(r.Header.Get("Content-Type"), checkinType) {
			next.ServeHTTP(w, r)
			return
		}
		root, ok := quick(raw)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		results, ok := quickResults(&root, raw)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		ctx := context.WithValue(r.Context(), readKey{}, &root)
		cmd, err := s.CommandAndReportResults(httpmdm.RequestFromHTTP(r.WithContext(ctx)), results) //nolint:contextcheck // the request carries it
		if err != nil {
			refuseReport(w, r, l, err)
			return
		}
		if cmd != nil {
			w.Write(cmd.Raw) //nolint:errcheck // the device is gone, and asks again
		}
	})
}

// refuseReport answers and logs as nanomdm's handler does.
func refuseReport(w http.ResponseWriter, r *http.Request, l log.Logger, err error) {
	status := http.StatusInternalServerError
	if known, ok := errors.AsType[*service.HTTPStatusError](err); ok {
		status, err = known.Status, fmt.Errorf("HTTP error: %w", known.Unwrap())
	}
	what := []any{"msg", "command report results", "http_status", status, "err", err}
	if bad := new(mdm.ParseError); errors.As(err, &bad) {
		what[5] = fmt.Errorf("parse error: %w", bad.Unwrap())
	}
	ctxlog.Logger(r.Context(), l).Info(what...)
	http.Error(w, http.StatusText(status), status)
}
