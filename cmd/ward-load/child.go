package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/access"
)

// childVariable in the environment makes this program the server that is measured, so
// that its processor time and memory are its own.
const childVariable = "WARD_LOAD_SERVER"

// order is what the child reads from its standard input, as one line of JSON. Lines
// after it are the path of a profile to begin, or nothing to end one; the end of the
// input ends the server.
type order struct {
	Config server.Config
	Token  bool // make a person and a token
	Link   bool // make a person and a link by which she signs in
}

// served is what the child says once it serves, as one line of JSON.
type served struct {
	URL, Listen string
	Token       string
	Link        string // the secret of it
	PushURL     string // of the stand-in, in a trial
	Roots       []byte // PEM, of the server and of the stand-in
}

func serveChild(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return errors.Join(errors.New("no order on standard input"), lines.Err())
	}
	var o order
	if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Config.Listen)
	if err != nil {
		return err
	}
	o.Config.Listen = l.Addr().String()
	if o.Config.PublicURL == "" {
		o.Config.PublicURL = "https://" + o.Config.Listen
	}
	s, err := server.New(ctx, o.Config)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	hello := served{URL: o.Config.PublicURL, Listen: o.Config.Listen, Roots: s.Authority.RootPEM()}
	if o.Config.TLS.Mode == server.TLSProxy && !o.Config.Trial {
		hello.URL = "http://" + o.Config.Listen
	}
	if p := s.StandIn(); p != nil {
		hello.PushURL, hello.Roots = p.URL(), append(hello.Roots, p.CAPEM()...)
	}
	if o.Token {
		if hello.Token, err = makeToken(ctx, s); err != nil {
			return errors.Join(err, s.Close(), l.Close())
		}
	}
	if o.Link {
		if hello.Link, err = makeLink(ctx, s); err != nil {
			return errors.Join(err, s.Close(), l.Close())
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	profiled := make(chan error, 1)
	go func() {
		profiled <- profiles(lines)
		stop()
	}()
	// A server that ends by itself ends the process, though its input may still be open.
	err = s.Run(ctx, l, func() { json.NewEncoder(out).Encode(hello) }) //nolint:errcheck // a parent that is gone closes the input
	select {
	case ended := <-profiled:
		return errors.Join(err, ended)
	default:
		return err
	}
}

func makeToken(ctx context.Context, s *server.Server) (string, error) {
	ctx = ward.WithActor(ctx, ward.Actor{Name: "console", Via: ward.ViaConsole})
	p, err := s.Access.CreatePerson(ctx, access.NewPerson{Name: "Load", Roles: []ward.Role{ward.RoleSupport, ward.RoleAdmin}})
	if err != nil {
		return "", err
	}
	_, secret, err := s.Access.CreateToken(ctx, access.NewToken{Person: p.ID, Name: "load"})
	return secret, err
}

func makeLink(ctx context.Context, s *server.Server) (string, error) {
	ctx = ward.WithActor(ctx, ward.Actor{Name: "console", Via: ward.ViaConsole})
	p, err := s.Access.CreatePerson(ctx, access.NewPerson{Name: "Reader " + rand.Text()[:6], Roles: []ward.Role{ward.RoleSupport, ward.RoleAdmin}})
	if err != nil {
		return "", err
	}
	return s.Access.CreateLink(ctx, p.ID, access.LinkSignIn, time.Hour)
}

// profiles begins and ends profiles as the lines say, until the input ends.
func profiles(lines *bufio.Scanner) error {
	var f *os.File
	end := func() (err error) {
		if f != nil {
			pprof.StopCPUProfile()
			err, f = f.Close(), nil
		}
		return err
	}
	for lines.Scan() {
		if err := end(); err != nil {
			return err
		}
		path := lines.Text()
		if path == "" {
			continue
		}
		var err error
		if f, err = os.Create(path); err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	return errors.Join(end(), lines.Err())
}

// child is the server that is measured, in a process of its own.
type child struct {
	served
	cmd *exec.Cmd
	in  io.WriteCloser
	log *os.File
}

// startChild starts a server. Its log goes into a file in its data folder.
func startChild(ctx context.Context, o order) (_ *child, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Config.Data, 0o700); err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(context.WithoutCancel(ctx), self)} //nolint:gosec // this program itself
	if c.log, err = os.Create(filepath.Join(o.Config.Data, "server.log")); err != nil {
		return nil, err
	}
	c.cmd.Env, c.cmd.Stderr = append(os.Environ(), childVariable+"=1"), c.log
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, c.log.Close())
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, c.log.Close())
	}
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, c.log.Close())
	}
	_, err = c.in.Write(append(line, '\n'))
	if err == nil {
		err = json.NewDecoder(out).Decode(&c.served)
	}
	if err != nil {
		told, _ := os.ReadFile(c.log.Name()) // it only adds to the error below
		return nil, errors.Join(fmt.Errorf("the server does not start: %w\n%s", err, strings.TrimSpace(string(told))), c.stop())
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// profile begins a profile at path, or ends one if path is empty.
func (c *child) profile(path string) error {
	_, err := io.WriteString(c.in, path+"\n")
	return err
}

// stop ends the server and waits for it; one that does not end is killed.
func (c *child) stop() error {
	err := c.in.Close()
	slow := time.AfterFunc(time.Minute, func() { c.cmd.Process.Kill() }) //nolint:errcheck // it has ended already then
	defer slow.Stop()
	return errors.Join(err, c.cmd.Wait(), c.log.Close())
}
