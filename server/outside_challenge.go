package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/wardmdm/ward"
)

// The challenge service answers while a person or a device waits.
const (
	challengePatience = 10 * time.Second
	longestAnswer     = 4 << 10
)

// dial returns what the challenge service is asked by. It may have a public certificate or
// one under the outside authority's roots.
func (o *outside) dial() (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("outside SCEP server: %w", err)
	}
	for _, c := range o.roots {
		pool.AddCert(c)
	}
	return &http.Client{
		Timeout:       challengePatience,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the header is for this address alone
	}, nil
}

// challengeFor returns the challenge of one request: the static one, or what the challenge
// service answers to a POST of {"common_name": "…"} with a 200 and text/plain. A service
// that fails is a *ward.Error of kind Unavailable.
func (o *outside) challengeFor(ctx context.Context, name string) (string, error) {
	if o.c.ChallengeURL == "" {
		return o.challenge, nil
	}
	challenge, err := o.askChallenge(ctx, name)
	if err != nil {
		return "", ward.Errorf(ward.Unavailable, "The service that gives the challenges for certificates can't be reached at the moment. Try again in a while.").Because(err)
	}
	return challenge, nil
}

func (o *outside) askChallenge(ctx context.Context, name string) (challenge string, err error) {
	body, err := json.Marshal(map[string]string{"common_name": name})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.c.ChallengeURL, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/plain")
	if o.header[0] != "" {
		req.Header.Set(o.header[0], o.header[1])
	}
	res, err := o.client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	b, err := io.ReadAll(io.LimitReader(res.Body, longestAnswer))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the challenge service answered %s", res.Status)
	}
	return challengeOf(b)
}

// later stands in a profile in a command for the challenge of a request under name.
func later(name string) string { return "{{outside.challenge " + name + "}}" }

var laterChallenge = regexp.MustCompile(`\{\{outside\.challenge (Ward anew [a-z2-7]{52})\}\}`)

// fill puts the challenges into a profile that is about to be delivered. Where none is to be
// had the device gets the profile without: it refuses that, keeps the one it has, and is sent
// another later. What else waits for it must not wait for that.
func (o *outside) fill(ctx context.Context, profile []byte) ([]byte, error) {
	if o == nil {
		return profile, nil
	}
	var failed error
	filled := laterChallenge.ReplaceAllFunc(profile, func(found []byte) []byte {
		challenge, err := o.challengeFor(ctx, string(laterChallenge.FindSubmatch(found)[1]))
		if err != nil {
			failed = err
			return nil
		}
		var b bytes.Buffer
		if err := xml.EscapeText(&b, []byte(challenge)); err != nil {
			failed = err
		}
		return b.Bytes()
	})
	return filled, failed
}
