package trialserver

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"

	"github.com/wardmdm/ward/agent"
)

func loopback() []net.IP { return []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} }

func (s *Server) routes() {
	s.mux.HandleFunc("GET /enrol", func(w http.ResponseWriter, _ *http.Request) {
		b, err := s.SignedProfile()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/x-apple-aspen-config")
		write(w, b)
	})
	s.mux.HandleFunc("/scep", s.scep)
	s.acmeRoutes()
	s.mux.HandleFunc("PUT /checkin", s.checkin)
	s.mux.HandleFunc("PUT /mdm", s.command)
	s.mux.HandleFunc("GET /device/{token}", s.listen)
	s.mux.HandleFunc("DELETE /device/{token}", s.unregister)
}

// write sends b; a device that went away needs no answer.
func write(w io.Writer, b []byte) {
	if _, err := w.Write(b); err != nil {
		return
	}
}

// Profile returns the enrolment profile without its signature.
func (s *Server) Profile() map[string]any {
	p := map[string]any{
		"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": EnrolmentProfile, "PayloadUUID": "U-0", "PayloadDisplayName": "Trial",
		"PayloadContent": []any{
			map[string]any{"PayloadType": "com.apple.security.root", "PayloadVersion": 1, "PayloadIdentifier": "test.root", "PayloadUUID": "U-1", "PayloadContent": s.CA.Raw},
			map[string]any{
				"PayloadType": "com.apple.security.scep", "PayloadVersion": 1, "PayloadIdentifier": "test.scep", "PayloadUUID": "U-2",
				"PayloadContent": map[string]any{
					"URL": s.URL + "/scep", "Challenge": s.Challenge, "Keysize": 2048, "Key Type": "RSA",
					"Subject": []any{[]any{[]any{"CN", "device"}}, []any{[]any{"2.5.4.11", "unit"}}},
				},
			},
			map[string]any{
				"PayloadType": "com.apple.mdm", "PayloadVersion": 1, "PayloadIdentifier": "test.mdm", "PayloadUUID": "U-3",
				"ServerURL": s.URL + "/mdm", "CheckInURL": s.URL + "/checkin", "Topic": Topic, "IdentityCertificateUUID": "U-2",
				"AccessRights": int(s.Rights), "SignMessage": s.SignMessage, "CheckOutWhenRemoved": !s.StayWhenRemoved,
			},
		},
	}
	if s.Edit != nil {
		s.Edit(p)
	}
	return p
}

// SignedProfile returns the enrolment profile as the link gives it.
func (s *Server) SignedProfile() ([]byte, error) {
	b, err := agent.EncodePlist(s.Profile())
	if err != nil {
		return nil, err
	}
	return s.Sign(b)
}

// Sign makes a CMS message of b, signed by the authority.
func (s *Server) Sign(b []byte) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(b)
	if err != nil {
		return nil, err
	}
	if err := sd.AddSigner(s.CA, s.key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	return sd.Finish()
}

func (s *Server) scep(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Query().Get("operation") {
	case "GetCACert":
		w.Header().Set("Content-Type", "application/x-x509-ca-cert")
		write(w, s.CA.Raw)
	case "GetCACaps":
		write(w, []byte("AES\nSHA-256\nPOSTPKIOperation\n"))
	case "PKIOperation":
		answer, err := s.pki(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-pki-message")
		write(w, answer)
	default:
		http.Error(w, "operation", http.StatusBadRequest)
	}
}

func (s *Server) pki(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m, err := scep.ParsePKIMessage(body)
	if err != nil {
		return nil, err
	}
	if err := m.DecryptPKIEnvelope(s.CA, s.key); err != nil {
		return nil, err
	}
	if m.CSRReqMessage.ChallengePassword != s.Challenge {
		fail, err := m.Fail(s.CA, s.key, scep.BadRequest)
		if err != nil {
			return nil, err
		}
		return fail.Raw, nil
	}
	c, err := s.Issue(m.CSR.Subject.CommonName, m.CSR.PublicKey)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.fresh[string(c.Raw)] = true
	s.mu.Unlock()
	ok, err := m.Success(s.CA, s.key, c)
	if err != nil {
		return nil, err
	}
	return ok.Raw, nil
}

// read proves who sent the request and decodes its body.
func (s *Server) read(r *http.Request) (map[string]any, *x509.Certificate, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, err
	}
	var cert *x509.Certificate
	if s.SignMessage {
		sig, err := base64.StdEncoding.DecodeString(r.Header.Get("Mdm-Signature"))
		if err != nil {
			return nil, nil, err
		}
		p7, err := pkcs7.Parse(sig)
		if err != nil {
			return nil, nil, err
		}
		p7.Content = body
		if err := p7.Verify(); err != nil {
			return nil, nil, err
		}
		cert = p7.GetOnlySigner()
	} else if len(r.TLS.PeerCertificates) > 0 {
		cert = r.TLS.PeerCertificates[0]
	}
	if cert == nil {
		return nil, nil, errors.New("no identity")
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: s.Roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return nil, nil, err
	}
	var m map[string]any
	return m, cert, agent.DecodePlist(body, 1<<20, &m)
}

func (s *Server) checkin(w http.ResponseWriter, r *http.Request) {
	m, cert, err := s.readInto(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.note()
	udid := channel(m)
	d := s.device(udid)
	d.checkins = append(d.checkins, m)
	switch m["MessageType"] {
	case "Authenticate":
		if d.cert != nil && !d.dead && s.fresh[string(cert.Raw)] {
			d.cert = cert.Raw // a renewal: what waits stays
			break
		}
		d.cert, d.queue = cert.Raw, nil
	case "TokenUpdate":
		token, _ := m["Token"].([]byte)
		if told := hex.EncodeToString(token); told != d.token {
			d.token, d.stream = told, nil // an old stream, still open, is not the new token's
		}
		d.dead = false
		d.magic, _ = m["PushMagic"].(string)
	case "DeclarativeManagement":
		endpoint, _ := m["Endpoint"].(string)
		data, _ := m["Data"].([]byte)
		s.declarative(w, d, endpoint, data)
	}
}

func (s *Server) readInto(r *http.Request) (map[string]any, *x509.Certificate, error) {
	m, cert, err := s.read(r)
	if err == nil && channel(m) == "" {
		err = errors.New("neither UDID nor EnrollmentID, or both")
	}
	return m, cert, err
}

// channel is what a device calls itself.
func channel(m map[string]any) string {
	udid, _ := m["UDID"].(string)
	id, _ := m["EnrollmentID"].(string)
	if udid != "" && id != "" {
		return ""
	}
	return udid + id
}

func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	m, cert, err := s.readInto(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.note()
	udid := channel(m)
	d := s.device(udid)
	if s.fresh[string(cert.Raw)] { // a renewal: from its first use it alone counts
		d.cert = cert.Raw
	}
	delete(s.fresh, string(cert.Raw))
	d.shown = append(d.shown, cert.Raw)
	if !bytes.Equal(cert.Raw, d.cert) {
		http.Error(w, "certificate of another enrolment", http.StatusForbidden)
		return
	}
	skip := ""
	if m["Status"] == "Idle" {
		d.idles++
	} else {
		id, _ := m["CommandUUID"].(string)
		d.reports = append(d.reports, m)
		if m["Status"] == "NotNow" {
			skip = id
		} else {
			d.answers[id] = m
			d.queue = without(d.queue, id)
		}
	}
	for _, q := range d.queue {
		if skip == "" || !bytes.Contains(q, []byte(skip)) {
			write(w, q)
			return
		}
	}
}

func without(queue [][]byte, id string) [][]byte {
	var out [][]byte
	for _, q := range queue {
		if id == "" || !bytes.Contains(q, []byte(id)) {
			out = append(out, q)
		}
	}
	return out
}

func (s *Server) listen(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("topic") != Topic {
		http.Error(w, "topic", http.StatusBadRequest)
		return
	}
	token, pushes := r.PathValue("token"), make(chan string, 64)
	if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusOK)
	flush := func(line string) bool {
		_, err := io.WriteString(w, line+"\n")
		return err == nil && http.NewResponseController(w).Flush() == nil
	}
	if !flush("") {
		return
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		defer s.note()
		for _, d := range s.devices {
			if d.stream == pushes {
				d.stream = nil
			}
		}
	}()
	for {
		s.mu.Lock()
		changed := s.changed
		for _, d := range s.devices { // the token may be told after the stream was opened
			if d.token == token && d.stream != pushes {
				d.stream = pushes
				s.note()
			}
		}
		s.mu.Unlock()
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case magic := <-pushes:
			line, err := json.Marshal(map[string]string{"mdm": magic})
			if err != nil || !flush(string(line)) {
				return
			}
		}
	}
}

func (s *Server) unregister(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.note()
	for _, d := range s.devices {
		if d.token == r.PathValue("token") {
			d.dead = true
		}
	}
}
