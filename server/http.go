package server

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/appgate"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/httpd"
)

// Handler returns everything that the server serves.
func (s *Server) Handler() (http.Handler, error) {
	protocol, err := s.protocolHandler()
	if err != nil {
		return nil, err
	}
	api, err := s.apiHandler()
	if err != nil {
		return nil, err
	}
	pages, err := s.pages()
	if err != nil {
		return nil, err
	}
	tpms, err := s.tpmHandler()
	if err != nil {
		return nil, err
	}
	limits := newThrottle(s.config.Limits, s.now, s.remote)
	people := http.NewServeMux()
	if err := s.serveDirectories(people); err != nil {
		return nil, err
	}
	people.Handle("/api/", s.metrics.timed("api", limits.api(api)))
	people.Handle("/app/v1/", s.metrics.timed("app", appgate.New(appgate.Options{Credentials: s.Credentials, Check: s.appHolder, Refused: s.refusedToken})))
	people.HandleFunc("GET "+invitePath+"{token}", s.invite)
	people.HandleFunc("GET /app/v1/manifest/{name}", s.manifest)
	people.Handle(ca.SCEPPath, s.metrics.timed("scep", s.Authority.SCEP()))
	people.Handle(ca.ACMEPath+"/", s.metrics.timed("acme", s.Authority.ACME()))
	people.Handle(ca.TPMPath+"/", s.metrics.timed("tpm", tpms))
	people.Handle("GET "+ca.CRLPath, s.Authority.CRL())
	people.Handle("GET "+ca.CRLPath+"/{issuer}", s.Authority.CRL())
	people.Handle("GET "+ca.IssuersPath+"/{issuer}", s.Authority.IssuerHandler())
	status := s.metrics.timed("ocsp", s.Authority.OCSP())
	people.Handle(ca.OCSPPath, status)
	people.Handle("GET "+ca.RootPath, s.Authority.RootHandler())
	people.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") })
	people.HandleFunc("GET /readyz", s.readyz)
	people.HandleFunc("GET /metrics", s.readMetrics)
	people.Handle("/", limits.people(s.web.TooMany, pages))
	ask, err := s.authorizeHandler()
	if err != nil {
		return nil, err
	}
	wrap := httpd.Options{Log: s.Log.Named("http"), Now: s.now}
	logged := httpd.Wrap(wrap, s.tracer.traced("people", people))

	// Devices' own traffic is not logged line by line: what is wrong with it is.
	devices := s.metrics.timed("mdm", httpd.RequestID(s.now, httpd.Recover(s.tracer.traced("mdm", protocol))))
	mux := http.NewServeMux()
	mux.Handle("/mdm", devices)
	mux.Handle(applemdm.DeclaredPattern, s.metrics.timed("declared", httpd.RequestID(s.now, httpd.Recover(s.tracer.traced("declared", s.apple.Declared(protocolLog{z: s.Log.Named("mdm")}))))))
	mux.Handle(applemdm.DocumentPattern, s.metrics.timed("document", httpd.RequestID(s.now, httpd.Recover(s.apple.Documents(protocolLog{z: s.Log.Named("mdm")}, s.documentHolder)))))
	mux.Handle(appgate.AuthorizePath, ask)
	mux.Handle(appgate.AuthorizePath+"/", ask)
	mux.Handle("/", logged)
	return beforeMux(ca.OCSPPath+"/", httpd.Wrap(wrap, status), mux), nil
}

// beforeMux serves what is under a prefix by itself. A ServeMux would redirect a path with
// two slashes in a row to another with one, and base64 has such.
func beforeMux(prefix string, h, mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix) {
			h.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write([]byte(text + "\n")) //nolint:errcheck // the client is gone, nobody is left to tell
}

// readyz says whether the server should be sent traffic: the database answers and the
// audit log can be continued.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if !s.ready.Load() {
		answer(w, http.StatusServiceUnavailable, "starting or stopping")
		return
	}
	if err := s.db.Ping(r.Context()); err != nil {
		httpd.Note(r.Context(), err)
		answer(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	if s.auditBroken.Load() {
		answer(w, http.StatusServiceUnavailable, "the audit log can't be continued: see the server's log")
		return
	}
	answer(w, http.StatusOK, "ready")
}

// readMetrics answers a monitoring system that proves itself by a token of somebody who may
// read metrics, or anybody where the configuration says so.
func (s *Server) readMetrics(w http.ResponseWriter, r *http.Request) {
	if !s.config.Metrics.Open {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			httpd.WriteError(w, r, ward.Errorf(ward.Unauthenticated, "Metrics are read with a token of somebody who may (metrics:read), sent as Authorization: Bearer, or by anybody with metrics.open in the configuration."))
			return
		}
		a, err := s.Access.Authenticate(r.Context(), strings.TrimSpace(token))
		if err == nil {
			httpd.NoteActor(r.Context(), a)
			err = access.Check(ward.WithActor(r.Context(), a), access.MetricsRead)
		}
		if err != nil {
			httpd.WriteError(w, r, err)
			return
		}
	}
	s.metrics.handler().ServeHTTP(w, r)
}

// appHolder asks the record whose app certificate this is.
func (s *Server) appHolder(ctx context.Context, cert *x509.Certificate) (appgate.Holder, error) {
	c, err := s.Authority.Check(ctx, cert)
	if err != nil {
		return appgate.Holder{}, errors.Join(err, s.refusedCertificate(context.WithoutCancel(ctx), ca.Hash(cert)))
	}
	if c.Kind != ca.KindApp {
		return appgate.Holder{}, ward.Errorf(ward.Forbidden, "This certificate is not an app's.")
	}
	return appgate.Holder{Device: c.Device, App: c.App, NotAfter: c.NotAfter}, nil
}
