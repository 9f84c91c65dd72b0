package server

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"go.yaml.in/yaml/v3"
)

// Config says how to run a server. Every field is explained in ward.example.yaml,
// which ExampleConfig returns. Secrets are paths to files.
type Config struct {
	Data         string    `yaml:"data"`
	Keys         string    `yaml:"keys"`
	DatabaseFile string    `yaml:"database_url_file"`
	Listen       string    `yaml:"listen"`
	PublicURL    string    `yaml:"public_url"`
	Organisation string    `yaml:"organisation"`
	Logo         string    `yaml:"logo"`
	TLS          TLS       `yaml:"tls"`
	CA           CA        `yaml:"ca"`
	Enrolment    Enrolment `yaml:"enrolment"`
	MDM          MDM       `yaml:"mdm"`
	APNs         APNs      `yaml:"apns"`
	Brake        Brake     `yaml:"brake"`
	Orders       Orders    `yaml:"orders"`
	Retention    Retention `yaml:"retention"`
	Policy       Policy    `yaml:"policy"`
	Lost         Lost      `yaml:"lost"`
	Authorize    Authorize `yaml:"authorize"`
	SignIn       SignIn    `yaml:"sign_in"`
	Notify       Notify    `yaml:"notify"`
	Streams      []Stream  `yaml:"streams"`
	Metrics      Metrics   `yaml:"metrics"`
	Tracing      Tracing   `yaml:"tracing"`
	Limits       Limits    `yaml:"limits"`
	Log          Log       `yaml:"log"`

	// Trial makes TLS and a push service of the server's own; nothing is asked.
	Trial bool `yaml:"-"`
	// DatabaseURL overrides DatabaseFile; tests and the command line set it.
	DatabaseURL string `yaml:"-"`

	now        func() time.Time // nil for the clock of the machine; tests set it
	deviceLife time.Duration    // of an identity, 0 for the authority's own; tests shorten it
	signIn     *http.Client     // asks providers, nil for one of its own; tests set it
	workFactor int              // log2 of the work to try a backup's passphrase, 0 for age's own; tests lower it
}

// clock returns the clock, in UTC.
func (c *Config) clock() func() time.Time {
	if c.now != nil {
		return c.now
	}
	return func() time.Time { return time.Now().UTC() }
}

// CA is the certificate authority.
type CA struct {
	StatusURL   string      `yaml:"status_url"`
	IssuerKey   string      `yaml:"issuer_key"`
	Outside     Outside     `yaml:"outside"`
	OutsideSCEP OutsideSCEP `yaml:"outside_scep"`
}

// Outside is a step-ca that signs certificates in the place of Ward's own authority.
type Outside struct {
	URL          string `yaml:"url"`
	Fingerprint  string `yaml:"fingerprint"`
	Provisioner  string `yaml:"provisioner"`
	KeyFile      string `yaml:"key_file"`
	PasswordFile string `yaml:"password_file"`
}

// TLS says how connections are protected.
type TLS struct {
	Mode        string `yaml:"mode"`
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// The modes of TLS.
const (
	TLSFiles    = "files"
	TLSSelfMade = "self-made"
	TLSProxy    = "proxy"
)

// MDM says how devices may prove themselves beyond Ward's own certificates.
type MDM struct {
	ProxyHeader       string   `yaml:"proxy_certificate_header"`
	TrustedProxies    []string `yaml:"trusted_proxies"`
	DeviceAuthorities []string `yaml:"device_authorities"`
	LateDays          int      `yaml:"late_days"`
}

// APNs says where pushes go.
type APNs struct {
	URL string `yaml:"url"`
	CA  string `yaml:"ca"`
}

// Retention says how long what was done is kept, in days.
type Retention struct {
	Commands  int `yaml:"command_days"`
	Locations int `yaml:"location_days"`
	Postures  int `yaml:"posture_days"` // 0: for ever
}

// Policy says when a change of the policy needs a second person.
type Policy struct {
	Above float64 `yaml:"second_person_above"`
	From  int     `yaml:"second_person_from"`
}

// Lost is what a lost phone shows when neither the report nor the policy says.
type Lost struct {
	Message  string `yaml:"message"`
	Phone    string `yaml:"phone"`
	Footnote string `yaml:"footnote"`

	DrillDays int `yaml:"drill_days"`
}

// Authorize says who may ask whether a device may come in, and what lets it in.
type Authorize struct {
	SecretFile     string   `yaml:"secret_file"`
	Header         string   `yaml:"certificate_header"`
	TrustedProxies []string `yaml:"trusted_proxies"`
	User           bool     `yaml:"user_header"`
	AllowUnknown   bool     `yaml:"allow_unknown"`
}

// Metrics says who may read the metrics.
type Metrics struct {
	Open bool `yaml:"open"`
}

// Log says what is logged.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

//go:embed ward.example.yaml
var exampleConfig []byte

// ExampleConfig returns a configuration file in which every field is explained.
func ExampleConfig() []byte { return bytes.Clone(exampleConfig) }

// DefaultConfig returns what holds where a file says nothing.
func DefaultConfig() Config {
	return Config{
		Data: "data", Listen: "127.0.0.1:8443", Organisation: "Ward",
		TLS: TLS{Mode: TLSFiles}, Enrolment: Enrolment{Attestation: enrollment.AttestationPreferred}, MDM: MDM{LateDays: 400}, APNs: APNs{URL: "https://api.push.apple.com"},
		Brake: defaultBrake(), Orders: defaultOrders(), Limits: defaultLimits(),
		Retention: Retention{Commands: 180, Locations: 30},
		Lost:      Lost{DrillDays: 90},
		Policy:    Policy{Above: 0.25, From: 25},
		Authorize: Authorize{Header: "X-SSL-Client-Escaped-Cert"},
		Tracing:   Tracing{Share: 0.1},
		SignIn:    defaultSignIn(),
		Log:       Log{Level: "info", Format: "json"},
	}
}

// LoadConfig reads a configuration file over the defaults. An unknown field is a
// mistake; every mistake in the file is reported at once.
func LoadConfig(path string) (Config, error) {
	c := DefaultConfig()
	b, err := os.ReadFile(path)
	if err != nil {
		return c, ward.Errorf(ward.Invalid, "The configuration can't be read: %v.", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	err = d.Decode(&c)
	if many, ok := errors.AsType[*yaml.TypeError](err); ok {
		return c, &ward.Error{Kind: ward.Invalid, Message: path + " has mistakes:", Details: append(many.Errors, c.mistakes()...)}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return c, ward.Errorf(ward.Invalid, "%s is not YAML: %v.", path, err)
	}
	return c, nil
}

// Check reports every mistake at once.
func (c *Config) Check() error {
	if m := c.mistakes(); len(m) > 0 {
		return &ward.Error{Kind: ward.Invalid, Message: "The configuration has mistakes:", Details: m}
	}
	return nil
}

func (c *Config) mistakes() (m []string) {
	bad := func(field, format string, args ...any) {
		m = append(m, field+": "+fmt.Sprintf(format, args...))
	}
	if c.Data == "" {
		bad("data", "name a folder for the database")
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen", "%q is not an address and port, such as 127.0.0.1:8443", c.Listen)
	}
	if u, err := url.Parse(c.PublicURL); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		bad("public_url", "%q is not https://host[:port] without a path: it is the address that devices keep for life", c.PublicURL)
	}
	if u, err := url.Parse(c.CA.StatusURL); c.CA.StatusURL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" || u.RawQuery != "") {
		bad("ca.status_url", "%q is not http://host[:port] or https://host[:port] without a path", c.CA.StatusURL)
	}
	c.CA.mistakes(bad)
	c.CA.OutsideSCEP.mistakes(c, bad)
	if strings.TrimSpace(c.Organisation) == "" {
		bad("organisation", "name the organisation: staff see it when they enrol")
	}
	c.tlsMistakes(bad)
	c.Authorize.mistakes(bad)
	c.SignIn.mistakes(bad)
	c.Brake.mistakes(bad)
	c.Orders.mistakes(bad)
	c.Notify.mistakes(bad)
	c.streamMistakes(bad)
	c.Tracing.mistakes(bad)
	c.Limits.mistakes(bad)
	c.Enrolment.mistakes(bad)
	c.MDM.mistakes(bad)
	c.fileMistakes(bad)
	if u, err := url.Parse(c.APNs.URL); err != nil || u.Scheme != "https" || u.Host == "" {
		bad("apns.url", "%q is not an https address", c.APNs.URL)
	}
	for field, n := range map[string]int{
		"retention.command_days": c.Retention.Commands, "retention.location_days": c.Retention.Locations, "lost.drill_days": c.Lost.DrillDays,
	} {
		if n < 1 {
			bad(field, "%d is not a number above 0", n)
		}
	}
	if c.Retention.Postures < 0 {
		bad("retention.posture_days", "%d is not a number of days; 0 keeps them for ever", c.Retention.Postures)
	}
	if c.Policy.Above < 0 || c.Policy.Above > 1 {
		bad("policy.second_person_above", "%g is not a share of the devices from 0 to 1", c.Policy.Above)
	}
	if c.Policy.From < 0 {
		bad("policy.second_person_from", "%d is not a number of devices", c.Policy.From)
	}
	if _, err := logLevel(c.Log.Level); err != nil {
		bad("log.level", "%q is not debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "json" && c.Log.Format != "text" {
		bad("log.format", "%q is neither json nor text", c.Log.Format)
	}
	return m
}

func (c *Config) tlsMistakes(bad func(field, format string, args ...any)) {
	switch c.TLS.Mode {
	case TLSFiles:
		if !c.Trial && (c.TLS.Certificate == "" || c.TLS.Key == "") {
			bad("tls", "mode files needs certificate and key; for a trial use mode self-made")
		}
	case TLSSelfMade:
	case TLSProxy:
		if host, _, err := net.SplitHostPort(c.Listen); err == nil {
			if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
				bad("tls.mode", "proxy serves without TLS, so listen must be a loopback address")
			}
		}
	default:
		bad("tls.mode", "%q is not files, self-made or proxy", c.TLS.Mode)
	}
}

// keysDir returns the folder of the keys.
func (c *Config) keysDir() string {
	if c.Keys != "" {
		return c.Keys
	}
	return filepath.Join(c.Data, "keys")
}

// database returns where the database is.
func (c *Config) database() (string, error) {
	if c.DatabaseURL != "" {
		return c.DatabaseURL, nil
	}
	if c.DatabaseFile == "" {
		return filepath.Join(c.Data, "ward.db"), nil
	}
	b, err := os.ReadFile(c.DatabaseFile) //nolint:gosec // the operator names it in the configuration
	if err != nil {
		return "", ward.Errorf(ward.Invalid, "database_url_file can't be read: %v.", err)
	}
	return strings.TrimSpace(string(b)), nil
}
