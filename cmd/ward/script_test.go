package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/approver/approvertest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ward": main})
}

// TestScripts runs the scripts, which show each command as people use it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  exits,
			"keep":   keep,
			"server": startServer,
			"stop":   stopServer,
			"visit":  visit,
			"phone":  startPhone,
			"until":  until,
			"vendor": makeVendor,

			"register": registerPasskey,
			"vouch":    vouch,
			"sign":     sign,
			"verified": verified,
		},
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "TZ=UTC", "WARD_URL=", "WARD_TOKEN=", "WARD_TOKEN_FILE=", "WARD_CA=")
			e.Values[serverKey{}] = &scriptServer{people: map[string]*approvertest.Person{}}
			return nil
		},
		RequireExplicitExec: true,
	})
}

// serverKey finds the server that a script has started.
type serverKey struct{}

type scriptServer struct {
	*server.Server
	stop   func() error                    // ends it, and returns how it ended
	people map[string]*approvertest.Person // who registered a passkey, by name
}

// exits STATUS COMMAND... runs a command that must end with exactly this status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// keep NAME PATTERN keeps what the pattern's group matches in the last output as a
// variable.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME PATTERN")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("%s is not in the output", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// startServer runs a trial server until the script ends. Its data folder is data; the
// variables that name it are set. With strict, whatever changes a device needs a second
// person.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 || len(args) == 1 && args[0] != "strict" {
		ts.Fatalf("usage: server [strict]")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	ts.Check(err)
	cfg := server.DefaultConfig()
	cfg.Data, cfg.Listen, cfg.PublicURL, cfg.Trial = ts.MkAbs("data"), l.Addr().String(), "https://"+l.Addr().String(), true
	cfg.Log = server.Log{Level: "error", Format: "text"}
	if len(args) == 1 {
		cfg.Policy = server.Policy{}
	}
	srv, err := server.New(ctx, cfg)
	ts.Check(err)
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- srv.Run(ctx, l, func() { close(started) }) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	ts.Defer(func() { ts.Check(stop()) })
	<-started
	ts.Setenv("WARD_URL", srv.URL())
	ts.Setenv("WARD_CA", filepath.Join(cfg.Data, "root.pem"))
	running := ts.Value(serverKey{}).(*scriptServer)
	running.Server, running.stop = srv, stop
}

// stopServer ends the server, whose data folder stays.
func stopServer(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.Value(serverKey{}).(*scriptServer)
	if neg || len(args) != 0 || running.stop == nil {
		ts.Fatalf("usage: stop, after server")
	}
	ts.Check(running.stop())
}

// visit LINK signs in by a link, as a browser does.
func visit(ts *testscript.TestScript, neg bool, args []string) {
	srv := ts.Value(serverKey{}).(*scriptServer).Server
	if neg || len(args) != 1 || srv == nil {
		ts.Fatalf("usage: visit LINK, after server")
	}
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: srv.Authority.Pool(), MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Post(args[0], "application/x-www-form-urlencoded", nil)
	ts.Check(err)
	ts.Check(res.Body.Close())
	if res.StatusCode != http.StatusSeeOther || len(res.Cookies()) == 0 {
		ts.Fatalf("%s answers %s, without a session", args[0], res.Status)
	}
}

// startPhone SERIAL supervised|unsupervised FILE enrols a virtual iPhone by the link in
// the JSON of an invitation, and leaves it switched on until the script ends.
func startPhone(ts *testscript.TestScript, neg bool, args []string) {
	srv := ts.Value(serverKey{}).(*scriptServer).Server
	if neg || len(args) != 3 || srv == nil {
		ts.Fatalf("usage: phone SERIAL supervised|unsupervised FILE, after server")
	}
	var invited struct{ URL string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[2])), &invited))
	ctx, cancel := context.WithCancel(context.Background())
	roots := srv.Authority.Pool()
	all := roots.Clone()
	all.AppendCertsFromPEM(srv.StandIn().CAPEM())
	p, err := virtual.New(ctx, virtual.Options{
		UDID: "00008120-" + args[0], Serial: args[0], Name: "iPhone " + args[0], Supervised: args[1] == "supervised", PasscodeSet: true,
		Latitude: 55.7765, Longitude: -4.0471, Clock: time.Now,
		Apps:      []virtual.Installed{{BundleID: "net.whatsapp.WhatsApp", Name: "WhatsApp", Version: "25.1"}},
		Transport: agent.NewTransport(all), ProfileRoots: roots, PushURL: srv.StandIn().URL(),
	})
	ts.Check(err)
	ts.Check(p.Enrol(ctx, invited.URL))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-ended)
	})
}

// until PATTERN COMMAND... asks again until the output matches: a phone answers when it
// has been woken.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND...")
	}
	want := regexp.MustCompile(args[0])
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(20 * time.Second)
	for {
		if err := ts.Exec(args[1], args[2:]...); err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			ts.Fatalf("no output matched %s", args[0])
		}
	}
}

// makeVendor writes a vendor certificate, its key and its chain, as Apple would issue
// them: vendor.pem, vendor.key and, as DER, root.cer.
func makeVendor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: vendor")
	}
	files, err := vendorFiles()
	ts.Check(err)
	for name, b := range files {
		ts.Check(os.WriteFile(ts.MkAbs(name), b, 0o600))
	}
}
