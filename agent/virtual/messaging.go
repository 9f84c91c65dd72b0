package virtual

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// The keys of the managed configuration that the approved app reads.
const (
	ConfigServerURL = "server_url" // https address of the server, without a path of the app
	ConfigAppID     = "app_id"
	// ConfigToken is to be exchanged for a certificate, once.
	ConfigToken = "enrolment_token" //nolint:gosec // the name of a setting, not a secret
)

// maxAppAnswer bounds what the app reads from the server.
const maxAppAnswer = 1 << 20

// App is the approved messaging app as it runs on a phone. What it has stored belongs to
// the phone and goes when the app is removed.
type App struct {
	phone  *Phone
	bundle string
}

// appData is what the app keeps on the phone. It is replaced, never changed.
type appData struct {
	token string // the one that was exchanged
	cert  tls.Certificate
	until time.Time
}

// AppError is a refusal by the server.
type AppError struct {
	Status int
	Code   string // of the problem document, may be empty
	Detail string
}

// Error returns status, code and detail.
func (e *AppError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("server answered %d %s %s", e.Status, e.Code, e.Detail))
}

// Me is what the server says of the caller.
type Me struct {
	Device string `json:"device"`
	App    string `json:"app"`
}

// Open starts an app on the phone. It fails as CanLaunch does.
func (p *Phone) Open(bundleID string) (*App, error) {
	if err := p.CanLaunch(bundleID); err != nil {
		return nil, fmt.Errorf("open app: %w", err)
	}
	return &App{p, bundleID}, nil
}

// running returns the app's configuration and data, if it may still run.
func (a *App) running() (map[string]any, *appData, error) {
	a.phone.mu.Lock()
	defer a.phone.mu.Unlock()
	if err := a.phone.canLaunch(a.bundle); err != nil {
		return nil, nil, fmt.Errorf("run app: %w", err)
	}
	in := a.phone.apps[a.bundle]
	return in.config, in.data, nil
}

// Certificate returns the app's own certificate, or nil before the exchange.
func (a *App) Certificate() *x509.Certificate {
	_, data, err := a.running()
	if err != nil || data == nil {
		return nil
	}
	return data.cert.Leaf
}

// TokenUsed reports whether the token that the configuration holds now was exchanged. It
// is false if there is none.
func (a *App) TokenUsed() bool {
	config, data, err := a.running()
	token, _ := config[ConfigToken].(string)
	return err == nil && data != nil && token != "" && data.token == token
}

// Exchange makes a key, and gives the token of the managed configuration for a
// certificate. A refusal is an *AppError.
func (a *App) Exchange(ctx context.Context) error {
	config, _, err := a.running()
	if err != nil {
		return err
	}
	server, _ := config[ConfigServerURL].(string)
	token, _ := config[ConfigToken].(string)
	id, _ := config[ConfigAppID].(string)
	if !strings.HasPrefix(server, "https://") || token == "" {
		return errors.New("exchange token: the app is not configured")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("exchange token: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: id}}, key)
	if err != nil {
		return fmt.Errorf("exchange token: %w", err)
	}
	body, err := json.Marshal(map[string]string{
		"token": token, "csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	})
	if err != nil {
		return fmt.Errorf("exchange token: %w", err)
	}
	var answer struct {
		Certificate string    `json:"certificate"`
		NotAfter    time.Time `json:"not_after"`
	}
	if err := a.call(ctx, nil, http.MethodPost, server, "/app/v1/certificate", body, &answer); err != nil {
		return fmt.Errorf("exchange token: %w", err)
	}
	data := &appData{token: token, until: answer.NotAfter}
	if data.cert, err = keyPair([]byte(answer.Certificate), key); err != nil {
		return fmt.Errorf("exchange token: %w", err)
	}
	return a.store(data)
}

// keyPair joins a PEM chain, leaf first, with the key that it must be for.
func keyPair(chain []byte, key *ecdsa.PrivateKey) (tls.Certificate, error) {
	pair := tls.Certificate{PrivateKey: key}
	for b, rest := pem.Decode(chain); b != nil; b, rest = pem.Decode(rest) {
		pair.Certificate = append(pair.Certificate, b.Bytes)
	}
	if len(pair.Certificate) == 0 {
		return pair, errors.New("the server sent no certificate")
	}
	var err error
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return pair, err
	}
	if pub, ok := pair.Leaf.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return pair, errors.New("the certificate is for another key")
	}
	return pair, nil
}

// store keeps data with the app, if the app is still there.
func (a *App) store(data *appData) error {
	a.phone.mu.Lock()
	defer a.phone.mu.Unlock()
	in := a.phone.apps[a.bundle]
	if in == nil {
		return fmt.Errorf("store certificate: %w", ErrNotInstalled)
	}
	in.data = data
	a.phone.touchLocked()
	return nil
}

// Me asks the server who it is, and proves itself by its certificate in TLS. A refusal
// is an *AppError. Each call makes a new connection, so that a revocation shows at once.
func (a *App) Me(ctx context.Context) (Me, error) {
	config, data, err := a.running()
	if err != nil {
		return Me{}, err
	}
	server, _ := config[ConfigServerURL].(string)
	if data == nil || server == "" {
		return Me{}, errors.New("ask server: the app has no certificate")
	}
	var me Me
	if err := a.call(ctx, &data.cert, http.MethodGet, server, "/app/v1/me", nil, &me); err != nil {
		return Me{}, fmt.Errorf("ask server: %w", err)
	}
	return me, nil
}

// InBackground is Me without a look at the screen: an app that lost mode or a lock keeps
// from being opened still has its certificate, and may call in the background.
func (a *App) InBackground(ctx context.Context) (Me, error) {
	a.phone.mu.Lock()
	in := a.phone.apps[a.bundle]
	if in == nil || in.data == nil {
		a.phone.mu.Unlock()
		return Me{}, fmt.Errorf("ask server: %w", ErrNotInstalled)
	}
	data := in.data
	server, _ := in.config[ConfigServerURL].(string)
	a.phone.mu.Unlock()
	var me Me
	if err := a.call(ctx, &data.cert, http.MethodGet, server, "/app/v1/me", nil, &me); err != nil {
		return Me{}, fmt.Errorf("ask server: %w", err)
	}
	return me, nil
}

func (a *App) call(ctx context.Context, cert *tls.Certificate, method, server, path string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	rt := a.phone.tlsTransport(cert)
	defer rt.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(server, "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAppAnswer))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		e := &AppError{Status: res.StatusCode}
		var problem struct{ Code, Title, Detail string }
		if json.Unmarshal(b, &problem) == nil { // otherwise the status must do
			e.Code, e.Detail = problem.Code, problem.Detail
		}
		return e
	}
	return json.Unmarshal(b, answer)
}

// tlsTransport trusts what the phone trusts: its own roots, and those that profiles of
// the server have installed. It keeps no connection.
func (p *Phone) tlsTransport(cert *tls.Certificate) *http.Transport {
	roots := p.opt.Transport.Roots()
	if extra := p.trusted(); roots != nil && len(extra) > 0 {
		roots = roots.Clone()
		for _, c := range extra {
			roots.AddCert(c)
		}
	}
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	return &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 20 * time.Second}
}
