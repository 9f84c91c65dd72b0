package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"golang.org/x/sync/errgroup"
)

var killRounds = flag.Int("kill-rounds", 10, "how often TestKill kills a server, on each database")

// What the parent tells the server that it will kill.
const (
	killFolder   = "WARD_TEST_KILL_FOLDER"
	killDatabase = "WARD_TEST_KILL_DATABASE"
	killURL      = "WARD_TEST_KILL_URL"
)

// killConfig is the same at every start.
func killConfig(dir, database, url string) Config {
	c := DefaultConfig()
	c.Data, c.PublicURL, c.Trial, c.DatabaseURL = dir, url, true, database
	c.Organisation, c.Log = "Test Hospital", Log{Level: "error", Format: "json"}
	return c
}

// serveUntilKilled is the server in a process of its own. It inherits its listener, so
// that its address outlives it.
func serveUntilKilled(dir, database, url string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return fail(err)
	}
	s, err := New(context.Background(), killConfig(dir, database, url))
	if err != nil {
		return fail(err)
	}
	if err := s.Run(context.Background(), l, nil); err != nil {
		return fail(err)
	}
	return 0
}

// TestKill kills a server under load again and again. No command whose queueing was
// acknowledged is lost, none that the device answered with success is handed out again,
// and none is handed out that was never queued.
func TestKill(t *testing.T) {
	both(t, func(t *testing.T, database string) {
		l := listen(t)
		dir, url := t.TempDir(), "https://"+l.Addr().String()
		load := killLoad(t, dir, database, url)
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := firstOf(f.Close(), l.Close()); err != nil {
				t.Error(err)
			}
		})
		rounds := *killRounds
		if testing.Short() {
			rounds = min(rounds, 2)
		}
		for range rounds {
			load.round(t, child(t, f, dir, database, url))
		}
		load.settle(t, child(t, f, dir, database, url))
		t.Logf("%d rounds: %d commands acknowledged as queued, %d answered, %d of them twice", rounds, len(load.queued), len(load.answered), load.twice)
		if len(load.answered) < 10*rounds {
			t.Errorf("only %d commands were answered: this was no load", len(load.answered))
		}
	})
}

// child starts a server that serves on f.
func child(t *testing.T, f *os.File, dir, database, url string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), exe)
	cmd.Env = append(os.Environ(), killFolder+"="+dir, killDatabase+"="+database, killURL+"="+url)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test failed before it was killed
			kill(t, cmd)
		}
	})
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatalf("the server ended by itself: %v", errors.Join(err, cmd.Wait()))
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the server ended by itself: %v", err)
	}
}

// load is a few devices and somebody who queues commands for them. It writes down what
// the server acknowledged.
type load struct {
	w       *world // the client's half only
	devices []wire

	mu       sync.Mutex
	asked    map[string]bool // queueing was asked for, by CommandUUID
	queued   map[string]bool // and acknowledged
	given    map[string]bool // handed out
	answered map[string]bool // answered by the device, and that acknowledged
	twice    int             // handed out again before the answer was acknowledged
	wrong    []string
	n        int
}

// killLoad makes the people and devices by a server that ends in the ordinary way.
func killLoad(t *testing.T, dir, database, url string) *load {
	t.Helper()
	// The listener of the killed servers is open already: this one's requests go to
	// another address of the same host.
	l := listen(t)
	c := killConfig(dir, database, url)
	var lc net.Dialer
	s := &load{asked: map[string]bool{}, queued: map[string]bool{}, given: map[string]bool{}, answered: map[string]bool{}}
	w := run(t, l, c)
	through := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return lc.DialContext(ctx, network, l.Addr().String())
	}
	direct := w.people.Transport
	w.people.Transport = &http.Transport{DialContext: through, TLSClientConfig: &tls.Config{RootCAs: w.Authority.Pool()}, DisableKeepAlives: true}
	for i := range 4 {
		d := w.identity(t, w.invite(t, ward.Corporate, nil).Token, fmt.Sprintf("KILL-%d", i))
		enrolWire(t, d, fmt.Sprintf("SN%d", i))
		d.drain(t)
		s.devices = append(s.devices, d)
	}
	w.stop()
	w.people.Transport = direct
	s.w = w
	return s
}

// round loads a server for a moment and kills it.
func (s *load) round(t *testing.T, server *exec.Cmd) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var g errgroup.Group
	begun := make(chan struct{})
	once := sync.OnceFunc(func() { close(begun) })
	for _, d := range s.devices {
		g.Go(func() error { return s.enqueue(ctx, d, once) })
		g.Go(func() error { return s.obey(ctx, t, d) })
	}
	select {
	case <-begun:
	case <-time.After(patience):
		t.Fatal("the server did not begin to serve")
	}
	<-time.After(time.Duration(50+rand.IntN(250)) * time.Millisecond) // the moment is random on purpose
	kill(t, server)
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s.check(t)
}

func (s *load) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wrong {
		t.Error(w)
	}
	s.wrong = nil
}

// enqueue queues commands until ctx ends or the server is gone.
func (s *load) enqueue(ctx context.Context, d wire, begun func()) error {
	for ctx.Err() == nil {
		s.mu.Lock()
		s.n++
		uuid := fmt.Sprintf("KILL-%06d", s.n)
		s.asked[uuid] = true
		s.mu.Unlock()
		body := killCommand(uuid)
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.w.URL()+"/api/v1/enqueue/"+d.udid+"?nopush=1", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+s.w.token)
		req.Header.Set("Content-Type", "application/xml")
		status, _, err := s.do(req)
		if err != nil {
			return nil //nolint:nilerr // the server was killed: whether it was queued is open
		}
		if status != http.StatusOK {
			return fmt.Errorf("queueing was answered %d", status)
		}
		begun()
		s.mu.Lock()
		s.queued[uuid] = true
		s.mu.Unlock()
	}
	return nil
}

func killCommand(uuid string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>CommandUUID</key><string>` + uuid +
		`</string><key>Command</key><dict><key>RequestType</key><string>CertificateList</string></dict></dict></plist>`)
}

func (s *load) do(req *http.Request) (int, []byte, error) {
	res, err := s.w.people.Do(req)
	if err != nil {
		return 0, nil, err
	}
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, b, firstOf(err, res.Body.Close())
}

// obey asks for commands and acknowledges them until ctx ends or the server is gone.
func (s *load) obey(ctx context.Context, t *testing.T, d wire) error {
	report := map[string]any{"UDID": d.udid, "Status": "Idle"}
	for ctx.Err() == nil {
		next, err := s.exchange(ctx, t, d, report)
		if err != nil {
			return nil //nolint:nilerr // the server was killed: whether it took the answer is open
		}
		if done, ok := report["CommandUUID"].(string); ok {
			s.mu.Lock()
			s.answered[done] = true
			s.mu.Unlock()
		}
		report = map[string]any{"UDID": d.udid, "Status": "Idle"}
		if next != "" {
			s.take(next)
			report["Status"], report["CommandUUID"] = "Acknowledged", next
		}
	}
	return nil
}

// take writes down what was handed out and what is wrong with that.
func (s *load) take(uuid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.answered[uuid]:
		s.wrong = append(s.wrong, uuid+" was handed out again after its answer was acknowledged")
	case !s.asked[uuid]:
		s.wrong = append(s.wrong, uuid+" was handed out and never queued")
	case s.given[uuid]:
		s.twice++
	}
	s.given[uuid] = true
}

// exchange sends one report and returns the UUID of the command it is answered with.
func (s *load) exchange(ctx context.Context, t *testing.T, d wire, report map[string]any) (string, error) {
	body := encode(t, report)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.w.URL()+"/mdm", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", commandMIME)
	req.Header.Set("Mdm-Signature", sign(t, body, d.cert, d.key))
	status, answer, err := s.do(req)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		t.Errorf("a report was answered %d %q", status, answer)
		return "", errors.New("refused")
	}
	if len(answer) == 0 {
		return "", nil
	}
	c, err := agent.ParseCommand(answer)
	if err != nil {
		t.Errorf("a command can't be read: %v", err)
		return "", err
	}
	return c.UUID, nil
}

// settle lets the devices fetch what is left and looks whether all is there.
func (s *load) settle(t *testing.T, server *exec.Cmd) {
	t.Helper()
	for _, d := range s.devices {
		report := map[string]any{"UDID": d.udid, "Status": "Idle"}
		for {
			uuid, err := s.exchange(t.Context(), t, d, report)
			if err != nil {
				t.Fatal(err)
			}
			if done, ok := report["CommandUUID"].(string); ok {
				s.answered[done] = true
			}
			if uuid == "" {
				break
			}
			s.take(uuid)
			report = map[string]any{"UDID": d.udid, "Status": "Acknowledged", "CommandUUID": uuid}
		}
	}
	kill(t, server)
	s.check(t)
	for uuid := range s.queued {
		if !s.given[uuid] {
			t.Errorf("%s was acknowledged as queued and never handed out", uuid)
		}
	}
}
