package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"golang.org/x/sync/errgroup"
)

// client speaks to the server that is measured.
type client struct {
	url, token string
	http       *http.Client
}

func newClient(c served, connections int) *client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.Roots)
	t := &http.Transport{
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"http/1.1"}},
	}
	return &client{url: c.URL, token: c.Token, http: &http.Client{Transport: t}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// send sends one request and returns the answer's body; any status but 2xx is an error.
func (c *client) send(ctx context.Context, method, path string, body []byte, header, value string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(header, value)
	r.Header.Set("Content-Type", mediaType(path, body))
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, answer)
	}
	return answer, err
}

func mediaType(path string, body []byte) string {
	switch {
	case bytes.HasPrefix(body, []byte("{")):
		return "application/json"
	case path != "/mdm":
		return "application/xml"
	case bytes.Contains(body, []byte("<key>MessageType</key>")):
		return "application/x-apple-aspen-mdm-checkin"
	}
	return "application/x-apple-aspen-mdm; charset=UTF-8"
}

// say sends a device's message.
func (c *client) say(ctx context.Context, m message) ([]byte, error) {
	return c.send(ctx, http.MethodPut, "/mdm", m.body, "Mdm-Signature", m.signature)
}

// ask sends a person's request.
func (c *client) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return c.send(ctx, method, path, body, "Authorization", "Bearer "+c.token)
}

var (
	uuidForm = regexp.MustCompile(`<key>CommandUUID</key>\s*<string>([^<]+)</string>`)
	typeForm = regexp.MustCompile(`<key>RequestType</key>\s*<string>([^<]+)</string>`)
)

// maxFirst bounds how many commands a device is given when it has just enrolled.
const maxFirst = 50

// enrol has every device check in for the first time and answer what it is asked, until
// the server has no more questions.
func (c *client) enrol(ctx context.Context, fleet []*device, at int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(at)
	for i, d := range fleet {
		g.Go(func() error {
			hello := text("SerialNumber", fmt.Sprintf("LOAD%08d", i+1)) + text("DeviceName", fmt.Sprintf("Phone %d", i+1)) +
				text("ProductName", "iPhone15,4") + text("OSVersion", "18.6")
			token := "\t<key>Token</key>\n\t<data>" + fmt.Sprintf("%043dA", i) + "</data>\n" + text("PushMagic", d.udid)
			for _, body := range []string{checkin("Authenticate", d.udid, hello), checkin("TokenUpdate", d.udid, token)} {
				m, err := d.sign(body)
				if err != nil {
					return err
				}
				if _, err := c.say(ctx, m); err != nil {
					return err
				}
			}
			return c.settle(ctx, d)
		})
	}
	return g.Wait()
}

func (c *client) settle(ctx context.Context, d *device) error {
	m := d.idle
	for range maxFirst {
		answer, err := c.say(ctx, m)
		if err != nil || len(answer) == 0 {
			return err
		}
		id, kind := uuidForm.FindSubmatch(answer), typeForm.FindSubmatch(answer)
		if id == nil || kind == nil {
			return fmt.Errorf("%s was given what is no command: %.200s", d.udid, answer)
		}
		if m, err = d.sign(said("Acknowledged", d.udid, string(id[1]), firstAnswers(string(kind[1])))); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s was given more than %d commands when it enrolled", d.udid, maxFirst)
}
