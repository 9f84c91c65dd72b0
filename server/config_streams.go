package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/post"
	"github.com/wardmdm/ward/server/siem"
)

// Stream is a place to which every entry of the audit log is sent.
type Stream struct {
	Name       string     `yaml:"name"`
	Syslog     string     `yaml:"syslog"`
	Collector  string     `yaml:"collector"`
	Shape      siem.Shape `yaml:"shape"`
	HeaderFile string     `yaml:"header_file"`
	File       string     `yaml:"file"`
	CA         string     `yaml:"ca"`
}

// streamMistakes reports what is wrong with the streams, and reads the files that are named.
func (c *Config) streamMistakes(bad func(field, format string, args ...any)) {
	names := map[string]bool{}
	for i, s := range c.Streams {
		wrong := func(field, format string, args ...any) {
			bad(fmt.Sprintf("streams[%d].%s", i, field), format, args...)
		}
		if !webhookName.MatchString(s.Name) {
			wrong("name", "%q is not a name of at most 40 lower-case letters, digits and hyphens", s.Name)
		}
		if names[s.Name] {
			wrong("name", "two streams are called %q", s.Name)
		}
		names[s.Name] = true
		s.mistakes(wrong)
	}
}

func (s Stream) mistakes(wrong func(field, format string, args ...any)) {
	ways := 0
	for _, way := range []string{s.Syslog, s.Collector, s.File} {
		if way != "" {
			ways++
		}
	}
	if ways != 1 {
		wrong("syslog", "give exactly one of syslog, collector and file")
		return
	}
	if s.Collector == "" && (s.Shape != "" || s.HeaderFile != "") {
		wrong("shape", "shape and header_file are for a collector")
	}
	if s.File != "" && s.CA != "" {
		wrong("ca", "a file has no certificate")
	}
	if s.File != "" {
		if i, err := os.Stat(filepath.Dir(s.File)); err != nil || !i.IsDir() {
			wrong("file", "its folder is not there: make it first")
		}
		return
	}
	if _, err := s.sender(); err != nil {
		field := "syslog"
		if s.Collector != "" {
			field = "collector"
		}
		wrong(field, "%s", strings.TrimSuffix(err.Error(), "."))
	}
}

// sender returns what sends the events. Its errors tell no secret.
func (s Stream) sender() (siem.Sender, error) {
	if s.File != "" {
		return siem.File{Path: s.File}, nil
	}
	roots, err := notifyRoots(s.CA)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "ca: %s", without("ca", err))
	}
	if s.Collector != "" {
		header, err := s.header()
		if err != nil {
			return nil, err
		}
		shape := s.Shape
		if shape == "" {
			shape = siem.Lines
		}
		return siem.NewCollector(s.Collector, shape, header, roots)
	}
	u, err := url.Parse(s.Syslog)
	if err != nil || (u.Scheme != "tls" && u.Scheme != "tcp") || u.Port() == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, ward.Errorf(ward.Invalid, "it is not tls://host:port, or tcp://host:port for this machine")
	}
	to := &siem.Syslog{Address: u.Host}
	switch {
	case u.Scheme == "tls":
		to.TLS = &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	case !post.Loopback(u.Hostname()):
		return nil, ward.Errorf(ward.Invalid, "tcp is for this machine only: what is sent names people and devices, so use tls://%s", net.JoinHostPort(u.Hostname(), u.Port()))
	}
	return to, nil
}

// header reads the one header that proves Ward to a collector.
func (s Stream) header() (http.Header, error) {
	if s.HeaderFile == "" {
		return nil, nil //nolint:nilnil // none is sent
	}
	b, err := os.ReadFile(s.HeaderFile)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "header_file: %s", without("header_file", err))
	}
	name, value, ok := strings.Cut(string(bytes.TrimSpace(b)), ":")
	value = strings.TrimSpace(value)
	if !ok || name == "" || value == "" || strings.ContainsAny(name+value, "\r\n\x00") {
		return nil, ward.Errorf(ward.Invalid, "header_file does not hold one line such as: Authorization: Splunk …")
	}
	return http.Header{http.CanonicalHeaderKey(strings.TrimSpace(name)): {value}}, nil
}
