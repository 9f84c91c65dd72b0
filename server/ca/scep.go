package ca

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/smallstep/scep"
	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

// maxMessage is the largest SCEP message read; a request with RSA-4096 has 5 KiB.
const maxMessage = 64 << 10

// capabilities by RFC 8894 section 3.5.2. Renewal is not among them.
const capabilities = "AES\nPOSTPKIOperation\nSCEPStandard\nSHA-256\nSHA-512\n"

// SCEP serves the Simple Certificate Enrolment Protocol (RFC 8894): GetCACaps,
// GetCACert, and PKIOperation by GET and POST. A well-formed request that is refused,
// such as one with a wrong challenge, gets a signed CertRep that says so; what is not
// a SCEP message gets a 4xx. A challenge is spent only together with the record of
// the certificate that it bought.
func (a *Authority) SCEP() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			a.refuseSCEP(w, r, http.StatusBadRequest, "The query cannot be read.", err)
			return
		}
		switch op := query.Get("operation"); {
		case r.Method != http.MethodGet && r.Method != http.MethodPost:
			w.Header().Set("Allow", "GET, POST")
			a.refuseSCEP(w, r, http.StatusMethodNotAllowed, "SCEP knows GET and POST only.", nil)
		case op == "PKIOperation":
			a.pkiOperation(w, r, query.Get("message"))
		case r.Method == http.MethodGet && op == "GetCACaps":
			answerSCEP(w, "text/plain", []byte(capabilities))
		case r.Method == http.MethodGet && op == "GetCACert":
			mediaType, b, err := a.scepCertificates()
			if err != nil {
				a.refuseSCEP(w, r, http.StatusServiceUnavailable, "The certificate authority is not available at the moment.", err)
				return
			}
			answerSCEP(w, mediaType, b)
		default:
			a.refuseSCEP(w, r, http.StatusBadRequest, "The SCEP operation is not known.", nil)
		}
	})
}

func answerSCEP(w http.ResponseWriter, mediaType string, b []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Write(b) //nolint:errcheck,gosec // the client is gone: there is nobody to tell; a message is never HTML
}

func (a *Authority) refuseSCEP(w http.ResponseWriter, r *http.Request, status int, message string, err error) {
	a.o.Log.Warn("scep request refused", zap.Int("status", status), zap.String("why", message), zap.Error(err),
		zap.String("request_id", ward.RequestID(r.Context())))
	http.Error(w, message, status)
}

// pkiOperation answers one request for a certificate.
func (a *Authority) pkiOperation(w http.ResponseWriter, r *http.Request, query string) {
	body, err := readMessage(w, r, query)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		a.refuseSCEP(w, r, http.StatusRequestEntityTooLarge, "The SCEP message is too large.", err)
		return
	}
	if err != nil {
		a.refuseSCEP(w, r, http.StatusBadRequest, "The SCEP message cannot be read.", err)
		return
	}
	m, err := parseMessage(body)
	if err != nil {
		a.refuseSCEP(w, r, http.StatusBadRequest, "This is not a SCEP message.", err)
		return
	}
	reply, err := a.certRep(r.Context(), m)
	if err != nil {
		a.o.Log.Error("scep request failed", zap.Error(err), zap.String("request_id", ward.RequestID(r.Context())))
		http.Error(w, "The certificate authority is not available at the moment.", http.StatusServiceUnavailable)
		return
	}
	answerSCEP(w, "application/x-pki-message", reply)
}

// readMessage returns the message of a POST, or of a GET, where macOS leaves '+'
// unescaped in the query, so that it arrives as a space.
func readMessage(w http.ResponseWriter, r *http.Request, query string) ([]byte, error) {
	if r.Method == http.MethodPost {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	}
	if base64.StdEncoding.DecodedLen(len(query)) > maxMessage+2 {
		return nil, &http.MaxBytesError{Limit: maxMessage}
	}
	return base64.StdEncoding.DecodeString(strings.ReplaceAll(query, " ", "+"))
}

// certRep issues what m asks for and returns the signed answer, which may be a
// refusal. An error means that neither could be made; the device may try again.
func (a *Authority) certRep(ctx context.Context, m *message) ([]byte, error) {
	// Whoever asked for the authority's certificate before another took its place may
	// still write to the old one: that one then answers, for the device knows no other.
	to := a.addressee(m)
	if !to.own() {
		return nil, errLost(to)
	}
	if m.kind != scep.PKCSReq {
		return a.refuse(ctx, to, m, scep.BadRequest, errors.New("only new certificates are issued, message type "+string(m.kind)))
	}
	// One answer for everything that can go wrong with the envelope: see openEnvelope.
	csr, challenge, err := m.open(to.scep.cert, to.scep.key)
	if err != nil {
		return a.refuse(ctx, to, m, scep.BadMessageCheck, err)
	}
	cert, by, err := a.issueBySCEP(ctx, csr, challenge)
	switch ward.KindOf(err) {
	case "":
		certs := []*x509.Certificate{cert}
		if by != to {
			certs = append(certs, by.cert) // which the device has not seen yet
		}
		return m.success(to.scep.cert, to.scep.key, certs...)
	case ward.Internal, ward.Unavailable:
		return nil, err
	default:
		return a.refuse(ctx, to, m, scep.BadRequest, err)
	}
}

// addressee returns the issuer that m is encrypted to, the current one if it is none.
func (a *Authority) addressee(m *message) *issuer {
	for _, is := range *a.issuers.Load() {
		if is.own() && m.isFor(is.scep.cert) {
			return is
		}
	}
	return a.ownIssuer()
}

func (a *Authority) refuse(ctx context.Context, by *issuer, m *message, info scep.FailInfo, why error) ([]byte, error) {
	a.o.Log.Warn("scep certificate refused", zap.String("fail_info", info.String()), zap.Error(why),
		zap.String("request_id", ward.RequestID(ctx)))
	return m.failure(by.scep.cert, by.scep.key, info)
}
