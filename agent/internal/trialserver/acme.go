package trialserver

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"strconv"
)

// ACME is what the ACME server of a trial saw, and how it behaves. It believes everything
// and checks no signature: what it is for is the other side.
type ACME struct {
	// Refuse is asked about each answer to the challenge; an error is why it is refused.
	Refuse func(a Answer) error
	// NoChallenge offers a challenge that a device does not know.
	NoChallenge bool
	// Answers are the answers in order.
	Answers []Answer
	// Requests are the certificate requests in order.
	Requests []*x509.CertificateRequest

	orders []*acmeOrder
}

// Answer is one answer to device-attest-01.
type Answer struct {
	Identifier string
	Token      string
	Object     []byte // the attestation object
}

type acmeOrder struct {
	identifier, status string
	cert               *x509.Certificate
}

// DirectoryURL is the address of the ACME directory.
func (s *Server) DirectoryURL() string { return s.URL + "/acme/directory" }

// SawACME calls f with what the ACME server saw, or to change how it behaves.
func (s *Server) SawACME(f func(a *ACME)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.acme)
}

func (s *Server) acmeRoutes() {
	at := func(path string) string { return s.URL + "/acme/" + path }
	s.mux.HandleFunc("GET /acme/directory", func(w http.ResponseWriter, _ *http.Request) {
		answerACME(w, http.StatusOK, map[string]any{"newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order"), "revokeCert": at("revoke"), "keyChange": at("key")})
	})
	s.mux.HandleFunc("HEAD /acme/nonce", func(w http.ResponseWriter, _ *http.Request) { answerACME(w, http.StatusOK, nil) })
	s.mux.HandleFunc("POST /acme/account", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", at("account/1"))
		answerACME(w, http.StatusCreated, map[string]any{"status": "valid"})
	})
	s.mux.HandleFunc("POST /acme/order", s.acmeNewOrder)
	s.mux.HandleFunc("POST /acme/{what}/{n}", s.acmeStep)
}

// answerACME writes one answer with the nonce for the next request.
func answerACME(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Replay-Nonce", "nonce")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if v == nil {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		return // the values of this file are all of JSON
	}
	write(w, b)
}

// signed reads the payload of a signed request (RFC 8555, 6.2) into v.
func signed(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var jws struct{ Payload string }
	if err := json.Unmarshal(body, &jws); err != nil {
		return err
	}
	b, err := base64.RawURLEncoding.DecodeString(jws.Payload)
	if err != nil || len(b) == 0 { // a request by POST that stands for one by GET
		return err
	}
	return json.Unmarshal(b, v)
}

func problem(kind string, status int, detail string) map[string]any {
	return map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "status": status, "detail": detail}
}

func (s *Server) acmeNewOrder(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Identifiers []struct{ Type, Value string }
	}
	if err := signed(r, &m); err != nil || len(m.Identifiers) != 1 || m.Identifiers[0].Type != "permanent-identifier" {
		answerACME(w, http.StatusBadRequest, problem("malformed", http.StatusBadRequest, "one permanent-identifier is wanted"))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &acmeOrder{identifier: m.Identifiers[0].Value, status: "pending"}
	s.acme.orders = append(s.acme.orders, o)
	n := strconv.Itoa(len(s.acme.orders) - 1)
	w.Header().Set("Location", s.URL+"/acme/order/"+n)
	answerACME(w, http.StatusCreated, s.acmeOrder(o, n))
}

func (s *Server) acmeOrder(o *acmeOrder, n string) map[string]any {
	m := map[string]any{
		"status": o.status, "identifiers": []any{map[string]any{"type": "permanent-identifier", "value": o.identifier}},
		"authorizations": []any{s.URL + "/acme/authz/" + n}, "finalize": s.URL + "/acme/finalize/" + n,
	}
	if o.cert != nil {
		m["certificate"] = s.URL + "/acme/certificate/" + n
	}
	return m
}

func (s *Server) acmeStep(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(s.acme.orders) {
		answerACME(w, http.StatusNotFound, problem("malformed", http.StatusNotFound, "there is no such order"))
		return
	}
	o := s.acme.orders[n]
	kind := "device-attest-01"
	if s.acme.NoChallenge {
		kind = "http-01"
	}
	token := "token-" + r.PathValue("n")
	challenge := map[string]any{"type": kind, "status": o.status, "token": token, "url": s.URL + "/acme/challenge/" + r.PathValue("n")}
	status := o.status
	if status == "ready" {
		status, challenge["status"] = "valid", "valid"
	}
	switch r.PathValue("what") {
	case "order":
		answerACME(w, http.StatusOK, s.acmeOrder(o, r.PathValue("n")))
	case "authz":
		answerACME(w, http.StatusOK, map[string]any{"status": status, "identifier": map[string]any{"type": "permanent-identifier", "value": o.identifier}, "challenges": []any{challenge}})
	case "challenge":
		s.acmeAnswer(w, r, o, challenge, token)
	case "finalize":
		s.acmeFinalize(w, r, o)
	case "certificate":
		w.Header().Set("Replay-Nonce", "nonce")
		write(w, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.cert.Raw}))
		write(w, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.CA.Raw}))
	default:
		answerACME(w, http.StatusNotFound, problem("malformed", http.StatusNotFound, "there is nothing here"))
	}
}

// acmeAnswer takes the answer to a challenge. The caller holds s.mu.
func (s *Server) acmeAnswer(w http.ResponseWriter, r *http.Request, o *acmeOrder, challenge map[string]any, token string) {
	var m struct{ AttObj string }
	err := signed(r, &m)
	a := Answer{Identifier: o.identifier, Token: token}
	if err == nil {
		a.Object, err = base64.RawURLEncoding.DecodeString(m.AttObj)
	}
	if err != nil {
		answerACME(w, http.StatusBadRequest, problem("malformed", http.StatusBadRequest, err.Error()))
		return
	}
	s.acme.Answers = append(s.acme.Answers, a)
	o.status, challenge["status"] = "ready", "valid"
	if s.acme.Refuse != nil {
		if err := s.acme.Refuse(a); err != nil {
			o.status = "invalid"
			challenge["status"], challenge["error"] = o.status, problem("badAttestationStatement", http.StatusBadRequest, err.Error())
		}
	}
	answerACME(w, http.StatusOK, challenge)
}

// acmeFinalize issues the certificate of an order. The caller holds s.mu.
func (s *Server) acmeFinalize(w http.ResponseWriter, r *http.Request, o *acmeOrder) {
	var m struct{ CSR string }
	err := signed(r, &m)
	var der []byte
	if err == nil {
		der, err = base64.RawURLEncoding.DecodeString(m.CSR)
	}
	var csr *x509.CertificateRequest
	if err == nil {
		csr, err = x509.ParseCertificateRequest(der)
	}
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil || o.status != "ready" {
		answerACME(w, http.StatusForbidden, problem("orderNotReady", http.StatusForbidden, "the order is "+o.status))
		return
	}
	s.acme.Requests = append(s.acme.Requests, csr)
	if o.cert, err = s.Issue(csr.Subject.CommonName, csr.PublicKey); err != nil {
		answerACME(w, http.StatusInternalServerError, problem("serverInternal", http.StatusInternalServerError, err.Error()))
		return
	}
	o.status = "valid"
	s.fresh[string(o.cert.Raw)] = true
	n := r.PathValue("n")
	w.Header().Set("Location", s.URL+"/acme/order/"+n)
	answerACME(w, http.StatusOK, s.acmeOrder(o, n))
}
