package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/wardmdm/ward/server/appgate"
)

// asker asks over one connection, as a proxy does. It does as little as it can, for what
// it costs is taken from the server that it measures: net/http's client would cost more
// than the answer.
type asker struct {
	conn    net.Conn
	in      *bufio.Reader
	request *http.Request // that is answered, for the reader of answers
	buf     []byte
	lines   [2048]byte
}

func newAsker(ctx context.Context, s served) (*asker, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, err
	}
	a := &asker{request: &http.Request{Method: http.MethodGet}}
	if u.Scheme == "https" {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(s.Roots)
		d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"http/1.1"}}}
		a.conn, err = d.DialContext(ctx, "tcp", u.Host)
	} else {
		a.conn, err = new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	}
	if err != nil {
		return nil, err
	}
	a.in = bufio.NewReader(a.conn)
	a.buf = append(a.buf, "GET /authorize/app/"+loadApp+" HTTP/1.1\r\nHost: "+u.Host+"\r\n"+appgate.SecretHeader+": "+passSecret+"\r\n"...)
	return a, nil
}

func (a *asker) close() error { return a.conn.Close() }

// ask asks about one device's certificate, and checks the answer.
func (a *asker) ask(header string, i int, unknown bool) error {
	der := certificateOf(i)
	want := http.StatusNoContent
	if unknown {
		der[len(der)-1]++
		want = http.StatusForbidden
	}
	b := append(append(a.buf, header...), ": "...)
	b = append(a.pass(b, der), "\r\n\r\n"...)
	if _, err := a.conn.Write(b); err != nil {
		return err
	}
	res, err := http.ReadResponse(a.in, a.request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if device := res.Header.Get("X-Ward-Device"); res.StatusCode != want || !unknown && device != loadDevice(i) {
		return fmt.Errorf("about %s: %s, %q, %s", loadDevice(i), res.Status, device, body)
	}
	return nil
}

// pass appends PEM with what URLs escape, as nginx passes it.
func (a *asker) pass(b, der []byte) []byte {
	n := base64.StdEncoding.EncodedLen(len(der))
	base64.StdEncoding.Encode(a.lines[:n], der)
	b = append(b, "-----BEGIN%20CERTIFICATE-----%0A"...)
	for text := a.lines[:n]; len(text) > 0; {
		line := text[:min(64, len(text))]
		text = text[len(line):]
		for _, c := range line {
			switch c {
			case '+':
				b = append(b, "%2B"...)
			case '/':
				b = append(b, "%2F"...)
			case '=':
				b = append(b, "%3D"...)
			default:
				b = append(b, c)
			}
		}
		b = append(b, "%0A"...)
	}
	return append(b, "-----END%20CERTIFICATE-----%0A"...)
}
