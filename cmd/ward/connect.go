package main

import (
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// remoteFlags are the flags of every command that asks a server, with more of its own.
func remoteFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.BoolFlag{Name: "json", Usage: "print the server's answer as JSON"},
		&cli.StringFlag{Name: "url", Usage: "address of the server", EnvVars: []string{"WARD_URL"}},
		&cli.PathFlag{Name: "token-file", Usage: "`FILE` with the token [$WARD_TOKEN_FILE], instead of WARD_TOKEN"},
		&cli.PathFlag{Name: "ca", Usage: "PEM `FILE` with the authority of the server's certificate", EnvVars: []string{"WARD_CA"}},
	)
}

// connect returns a client of the server that the flags and the environment name. It
// sends nothing yet.
func connect(c *cli.Context) (*client, error) {
	base, err := serverURL(c)
	if err != nil {
		return nil, err
	}
	token, err := readToken(c)
	if err != nil {
		return nil, err
	}
	path := c.Path("ca")
	if path == "" {
		return newClient(base, token, nil), nil
	}
	pem, err := readFile("WARD_CA (--ca)", path)
	if err != nil {
		return nil, usagef(c, "%v.", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, usagef(c, "WARD_CA (--ca): %s holds no certificate in PEM form.", path)
	}
	return newClient(base, token, roots), nil
}

func serverURL(c *cli.Context) (*url.URL, error) {
	text := strings.TrimSpace(c.String("url"))
	if text == "" {
		return nil, usagef(c, "No server is named: set WARD_URL (or --url), for instance WARD_URL=https://ward.example.org.")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, usagef(c, "WARD_URL must be an address such as https://ward.example.org, not %q.", text)
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usagef(c, "WARD_URL must begin with https://, for it is sent a token: only a server on this computer may be asked over http.")
	}
	return u, nil
}

// readToken returns the token of --token-file, WARD_TOKEN or WARD_TOKEN_FILE: the first
// that is given, for a flag is meant for this call.
func readToken(c *cli.Context) (string, error) {
	token, path := "", c.Path("token-file")
	if path == "" {
		token, path = os.Getenv("WARD_TOKEN"), os.Getenv("WARD_TOKEN_FILE")
	}
	if token == "" && path != "" {
		b, err := readFile("the token file", path)
		if err != nil {
			return "", usagef(c, "%v.", err)
		}
		token = string(b)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return "", usagef(c, "No token is given: set WARD_TOKEN, or name a file with --token-file. On the server, ward token create --data DIR --person NAME makes one.")
	}
	if strings.ContainsAny(token, " \t\r\n") {
		return "", usagef(c, "The token holds a space or a line break: it must be one word.")
	}
	return token, nil
}

// ready is connect for a command without arguments.
func ready(c *cli.Context) (*client, error) {
	if _, err := arguments(c); err != nil {
		return nil, err
	}
	return connect(c)
}

// readyFor is connect for a command with the named arguments, which it returns.
func readyFor(c *cli.Context, names ...string) (*client, []string, error) {
	args, err := arguments(c, names...)
	if err != nil {
		return nil, nil, err
	}
	cl, err := connect(c)
	return cl, args, err
}
