package applemdm

import (
	"net/http"

	"github.com/micromdm/nanolib/log"
	"github.com/micromdm/nanolib/log/ctxlog"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/httpd"
)

// DocumentPattern is the pattern of the requests that Documents serves.
const DocumentPattern = declare.DocumentPath + "{enrolment}/{hash}/{mac}"

// Documents serves what declarations refer to under DocumentPattern to whoever holds a link.
// holder, which may be nil, refuses a client certificate that came with the request and is
// not the enrolment's: Apple's devices show theirs where an asset says that they shall, and
// where a proxy keeps it the link alone proves them. What is wrong with a link has one face,
// 404; a device that may not have the document now is told why, with a 403; that a good link
// can't be served now is a 503, so that the device tries again.
// Source: https://developer.apple.com/documentation/devicemanagement/assetcredentialacme, Authentication.
func (s *Service) Documents(l log.Logger, holder func(r *http.Request, id ward.EnrolmentID) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet { // each answer holds fresh values, so that one is not made for nothing
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		contentType, body, err := s.document(r, holder)
		logger := ctxlog.Logger(r.Context(), l)
		switch ward.KindOf(err) {
		case "":
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Write(body) //nolint:errcheck,gosec // the device is gone, and asks again; what is written is no page
		case ward.NotFound:
			logger.Debug("msg", "document of a declaration", "http_status", http.StatusNotFound, "err", err)
			http.NotFound(w, r)
		case ward.Forbidden:
			logger.Info("msg", "document of a declaration", "http_status", http.StatusForbidden, "err", err)
			httpd.WriteError(w, r, err)
		default:
			logger.Info("msg", "document of a declaration", "http_status", http.StatusServiceUnavailable, "err", err)
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		}
	})
}

func (s *Service) document(r *http.Request, holder func(r *http.Request, id ward.EnrolmentID) error) (contentType string, body []byte, err error) {
	if s.declarations == nil {
		return "", nil, ward.Errorf(ward.NotFound, "Declarations are not offered.")
	}
	id := r.PathValue("enrolment")
	if holder != nil {
		if err := holder(r, ward.EnrolmentID(id)); err != nil {
			return "", nil, err
		}
	}
	return s.declarations.Document(r.Context(), id, r.PathValue("hash"), r.PathValue("mac"))
}
