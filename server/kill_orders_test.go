package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"golang.org/x/sync/errgroup"
)

var killOrderRounds = flag.Int("kill-order-rounds", 10, "how often TestKillOrders kills a server, on each database")

// killOrdersFolder is killFolder for the server of TestKillOrders, which people reach on a
// second listener.
const killOrdersFolder = "WARD_TEST_KILL_ORDERS_FOLDER"

// killErasures is how many erasures an hour the brake lets pass in TestKillOrders.
const killErasures = 3

// killOrdersConfig is the same at every start: erasures are few, passcodes are cleared often.
func killOrdersConfig(dir, database, url string) Config {
	c := killConfig(dir, database, url)
	c.Brake.Erase = Windows{Hour: killErasures, Day: killErasures}
	c.Brake.ClearPasscode = Windows{Hour: 100_000, Day: 100_000}
	return c
}

// errand is what somebody asks of the server that will be killed, by themselves or with the
// answer of their passkey.
type errand struct {
	Actor    ward.Actor
	Do       string // request, begin, approve, cancel or all
	Kind     order.Kind
	Device   ward.DeviceID
	Order    ward.OrderID
	Hash     string
	Response []byte
}

// done is the answer.
type done struct {
	Order   order.Order
	Options []byte
	Hash    string
	Kind    ward.Kind // of the error
	Error   string
}

// obeyUntilKilled is serveUntilKilled with a listener for errands.
func obeyUntilKilled(dir, database, url string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return fail(err)
	}
	people, err := net.FileListener(os.NewFile(4, "people"))
	if err != nil {
		return fail(err)
	}
	s, err := New(context.Background(), killOrdersConfig(dir, database, url))
	if err != nil {
		return fail(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e errand
		err := json.NewDecoder(r.Body).Decode(&e)
		if err == nil {
			err = json.NewEncoder(w).Encode(s.runs(r.Context(), e))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "errand:", err)
		}
	})}
	go func() { fmt.Fprintln(os.Stderr, srv.Serve(people)) }() // until the process is killed
	if err := s.Run(context.Background(), l, nil); err != nil {
		return fail(err)
	}
	return 0
}

// runs does one errand.
func (s *Server) runs(ctx context.Context, e errand) (d done) {
	ctx = ward.WithActor(ctx, e.Actor)
	var err error
	switch e.Do {
	case "request":
		d.Order, err = s.Orders.Request(ctx, order.Request{Kind: e.Kind, Devices: []ward.DeviceID{e.Device}, Reason: "test"})
	case "begin":
		d.Options, d.Hash, err = s.Orders.Begin(ctx, e.Order)
	case "approve":
		d.Order, err = s.Orders.Approve(ctx, e.Order, e.Hash, e.Response)
	case "cancel":
		d.Order, err = s.Orders.Cancel(ctx, e.Order, "test")
	case "all":
		_, err = s.Orders.CancelAll(ctx, "test")
	case "lock":
		_, err = s.Lost.Lock(ctx, e.Device, "", "")
	}
	if err != nil {
		d.Kind, d.Error = ward.KindOf(err), err.Error()
	}
	return d
}

// handed is a destructive command that a device was given.
type handed struct {
	device      ward.DeviceID
	requestType string
	times       int
	answered    bool // and that acknowledged
}

// war is devices, people and what the server acknowledged to them.
type war struct {
	*load
	t      *testing.T
	errand string // where errands go
	by     []*approvertest.Person
	ids    []ward.DeviceID // of the devices; the first are lost, and erased
	lost   int

	mu        sync.Mutex
	open      map[ward.OrderID]bool // asked for, and not known to be signed by two
	signed    map[ward.OrderID]bool // the second signature was acknowledged
	cancelled map[ward.OrderID]bool // and so was that it is taken back
	given     map[string]*handed    // by CommandUUID
	wrong     []string
	erases    int
	errands   int // that were answered
	progress  chan struct{}
}

// TestKillOrders kills a server again and again while people ask for orders, sign, cancel and
// lock, and devices obey. No order that two people signed is lost, none is done twice, none
// that was cancelled before it was fetched is delivered, and the brake is never passed.
func TestKillOrders(t *testing.T) {
	both(t, func(t *testing.T, database string) {
		l, people := listen(t), listen(t)
		dir, url := t.TempDir(), "https://"+l.Addr().String()
		w := newWar(t, dir, database, url)
		w.errand = "http://" + people.Addr().String()
		var files []*os.File
		for _, l := range []net.Listener{l, people} {
			f, err := l.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
			t.Cleanup(func() {
				if err := firstOf(f.Close(), l.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		rounds := *killOrderRounds
		if testing.Short() {
			rounds = min(rounds, 2)
		}
		for range rounds {
			w.round(w.child(files, dir, database, url))
		}
		w.settle(w.child(files, dir, database, url))
		w.judge(dir, database, url, rounds)
	})
}

// child starts a server that serves on the files.
func (w *war) child(files []*os.File, dir, database, url string) *exec.Cmd {
	w.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(w.t.Context()), exe)
	cmd.Env = append(os.Environ(), killOrdersFolder+"="+dir, killDatabase+"="+database, killURL+"="+url)
	cmd.ExtraFiles, cmd.Stderr = files, os.Stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test failed before it was killed
			kill(w.t, cmd)
		}
	})
	return cmd
}

// newWar enrols devices, reports half of them lost and makes approvers, by a server that
// ends in the ordinary way.
func newWar(t *testing.T, dir, database, url string) *war {
	t.Helper()
	l := listen(t)
	c := killOrdersConfig(dir, database, url)
	if c.Keys == "" {
		readyKeys(t, dir+"/keys")
	}
	s := run(t, l, c)
	w := &war{
		load: &load{w: s}, t: t, lost: 5, open: map[ward.OrderID]bool{}, signed: map[ward.OrderID]bool{}, cancelled: map[ward.OrderID]bool{}, given: map[string]*handed{},
		progress: make(chan struct{}, 1),
	}
	w.by = s.approvers(t, 4)
	direct := s.people.Transport
	s.people.Transport = w.to(l.Addr().String())
	for i := range w.lost + 4 {
		d := s.identity(t, s.invite(t, ward.Corporate, nil).Token, fmt.Sprintf("KILL-%d", i))
		answered(t, "Authenticate", d.authenticate(t, fmt.Sprintf("SN%d", i)), http.StatusOK)
		answered(t, "TokenUpdate", d.checkin(t, "TokenUpdate", map[string]any{"Token": bytes.Repeat([]byte{7}, 32), "PushMagic": "magic", "UnlockToken": []byte("unlock")}), http.StatusOK)
		d.drain(t)
		id := s.show(t, d.udid).Device.ID
		if i < w.lost { // what is lost is erased without waiting
			if _, err := s.Lost.Report(s.ctx, lost.Report{Devices: []ward.DeviceID{id}}); err != nil {
				t.Fatal(err)
			}
			d.drain(t)
		}
		w.devices, w.ids = append(w.devices, d), append(w.ids, id)
	}
	s.stop()
	s.people.Transport = direct
	return w
}

// to reaches the server at another address than its own.
func (w *war) to(address string) http.RoundTripper {
	var d net.Dialer
	t := w.load.w.people.Transport.(*http.Transport).Clone()
	t.DisableKeepAlives = true
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}
	return t
}

// round has people and devices busy for a moment and kills the server.
func (w *war) round(server *exec.Cmd) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	before := w.errands
	var g errgroup.Group
	g.Go(func() error { return w.rule(ctx, 0) })
	g.Go(func() error { return w.rule(ctx, 1) })
	for i := range w.devices {
		g.Go(func() error { return w.obey(ctx, i) })
	}
	for late := time.After(2 * patience); ; {
		w.mu.Lock()
		busy := w.errands >= before+20+rand.IntN(30)
		w.mu.Unlock()
		if busy {
			break
		}
		select {
		case <-w.progress:
		case <-late:
			w.t.Fatal("the server did not serve people")
		}
	}
	<-time.After(time.Duration(rand.IntN(40)) * time.Millisecond) // the moment is random on purpose
	kill(w.t, server)
	cancel()
	if err := g.Wait(); err != nil {
		w.t.Fatal(err)
	}
}

// errGone says that the server was killed, so that it is open whether it did what was asked.
var errGone = errors.New("the server is gone")

// ask sends one errand.
func (w *war) ask(ctx context.Context, e errand) (d done, err error) {
	b, err := json.Marshal(e)
	if err != nil {
		return d, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.errand, bytes.NewReader(b))
	if err != nil {
		return d, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return d, errGone
	}
	answer, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close(), json.Unmarshal(answer, &d)); err != nil {
		return d, errGone
	}
	w.mu.Lock()
	w.errands++
	w.mu.Unlock()
	select {
	case w.progress <- struct{}{}:
	default:
	}
	if k := d.Kind; k != "" && k != ward.Conflict && k != ward.Forbidden {
		return d, fmt.Errorf("%s of %s: %s", e.Do, e.Order, d.Error)
	}
	return d, nil
}

// rule asks for orders, signs them with a second person, and takes some back, until ctx ends
// or the server is gone.
func (w *war) rule(ctx context.Context, pair int) error {
	by := w.by[2*pair : 2*pair+2]
	for ctx.Err() == nil {
		id, err := w.another(ctx, by[0].Actor)
		if err == nil {
			err = w.carry(ctx, id, by)
		}
		if err == nil && rand.IntN(4) == 0 {
			_, err = w.ask(ctx, errand{Actor: by[1].Actor, Do: "lock", Device: w.ids[w.lost]})
		}
		if errors.Is(err, errGone) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// another returns an order to sign: one that the last server left behind, else a new one.
func (w *war) another(ctx context.Context, who ward.Actor) (ward.OrderID, error) {
	w.mu.Lock()
	for id := range w.open {
		delete(w.open, id) // nobody else carries it on now
		w.mu.Unlock()
		return id, nil
	}
	e := errand{Actor: who, Do: "request", Kind: order.ClearPasscode, Device: w.ids[w.lost+rand.IntN(len(w.ids)-w.lost)]}
	if w.erases < 2*w.lost && rand.IntN(3) == 0 {
		e.Kind, e.Device = order.Erase, w.ids[rand.IntN(w.lost)]
		w.erases++
	}
	w.mu.Unlock()
	d, err := w.ask(ctx, e)
	if err == nil && d.Error != "" && e.Kind == order.Erase { // it was erased before
		return "", nil
	}
	if err == nil && d.Error != "" {
		err = errors.New(d.Error)
	}
	return d.Order.ID, err
}

// carry has two people sign an order, and sometimes one take it back.
func (w *war) carry(ctx context.Context, id ward.OrderID, by []*approvertest.Person) error {
	if id == "" {
		return nil
	}
	w.mu.Lock()
	w.open[id] = true
	w.mu.Unlock()
	for _, p := range by {
		if err := w.sign(ctx, id, p); err != nil {
			return err
		}
	}
	w.mu.Lock()
	delete(w.open, id)
	w.mu.Unlock()
	switch rand.IntN(12) {
	case 0, 1, 2:
		d, err := w.ask(ctx, errand{Actor: by[1].Actor, Do: "cancel", Order: id})
		if err != nil || d.Error != "" { // it was too late
			return err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.cancelled[id] = true
	case 3:
		_, err := w.ask(ctx, errand{Actor: by[0].Actor, Do: "all"})
		return err
	}
	return nil
}

// sign has one person sign, unless they did before the last server was killed.
func (w *war) sign(ctx context.Context, id ward.OrderID, p *approvertest.Person) error {
	d, err := w.ask(ctx, errand{Actor: p.Actor, Do: "begin", Order: id})
	if err != nil || d.Error != "" {
		return err
	}
	response, err := p.Passkey.Sign(d.Options)
	if err != nil {
		return err
	}
	d, err = w.ask(ctx, errand{Actor: p.Actor, Do: "approve", Order: id, Hash: d.Hash, Response: response})
	if err == nil && d.Order.State == order.Issued {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.signed[id] = true
	}
	return err
}

// obey has a device ask for commands and acknowledge them, until ctx ends or the server is
// gone.
func (w *war) obey(ctx context.Context, i int) error {
	report := map[string]any{"UDID": w.devices[i].udid, "Status": "Idle"}
	for ctx.Err() == nil {
		next, err := w.exchanges(ctx, i, report)
		if errors.Is(err, errGone) {
			return nil
		}
		if err != nil {
			return err
		}
		report = next
	}
	return nil
}

// exchanges sends one report and returns the next.
func (w *war) exchanges(ctx context.Context, i int, report map[string]any) (map[string]any, error) {
	d := w.devices[i]
	body := encode(w.t, report)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, w.load.w.URL()+"/mdm", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", commandMIME)
	req.Header.Set("Mdm-Signature", sign(w.t, body, d.cert, d.key))
	status, answer, err := w.do(req)
	if err != nil {
		return nil, errGone
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("a report of %s was answered %d %q", d.udid, status, answer)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if done, ok := report["CommandUUID"].(string); ok && w.given[done] != nil {
		w.given[done].answered = true
	}
	next := map[string]any{"UDID": d.udid, "Status": "Idle"}
	if len(answer) == 0 {
		return next, nil
	}
	c, err := agent.ParseCommand(answer)
	if err != nil {
		return nil, err
	}
	w.takes(i, c)
	next["Status"], next["CommandUUID"] = "Acknowledged", c.UUID
	return next, nil
}

// takes writes down a destructive command, and what is wrong with it.
func (w *war) takes(i int, c agent.Command) {
	if c.RequestType != "EraseDevice" && c.RequestType != "ClearPasscode" {
		return
	}
	h := w.given[c.UUID]
	if h == nil {
		h = &handed{device: w.ids[i], requestType: c.RequestType}
		w.given[c.UUID] = h
	}
	h.times++
	if h.answered {
		w.wrong = append(w.wrong, c.UUID+" was handed out again after its answer was acknowledged")
	}
	if h.device != w.ids[i] {
		w.wrong = append(w.wrong, c.UUID+" was handed out to two devices")
	}
}

// settle signs what is left and lets the devices fetch all that there is.
func (w *war) settle(server *exec.Cmd) {
	w.t.Helper()
	ctx := w.t.Context()
	left := make([]ward.OrderID, 0, len(w.open))
	for id := range w.open {
		left = append(left, id)
	}
	for _, id := range left {
		for _, p := range w.by {
			if err := w.sign(ctx, id, p); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	for i, d := range w.devices {
		report := map[string]any{"UDID": d.udid, "Status": "Idle"}
		for {
			next, err := w.exchanges(ctx, i, report)
			if err != nil {
				w.t.Fatal(err)
			}
			if report = next; report["Status"] == "Idle" {
				break
			}
		}
	}
	kill(w.t, server)
}

// judge opens the record and holds it against what people and devices were told.
func (w *war) judge(dir, database, url string, rounds int) {
	w.t.Helper()
	s, err := New(w.t.Context(), killOrdersConfig(dir, database, url))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	}()
	for _, x := range w.wrong {
		w.t.Error(x)
	}
	if err := s.Brake.Check(w.t.Context()); err != nil {
		w.t.Errorf("after the kills the journal is called %v", err)
	}
	byUUID, accepted, erased := w.orders(s), 0, 0
	for uuid, h := range w.given {
		o, ok := byUUID[uuid]
		switch {
		case !ok:
			w.t.Errorf("%s %s was handed out and stands in no order", h.requestType, uuid)
			continue
		case len(o.Approvals) != 2 || o.Targets[0].Device != h.device:
			w.t.Errorf("%s %s was handed out to %s for the order %+v", h.requestType, uuid, h.device, o)
		case o.Targets[0].Outcome == order.TakenBack:
			w.t.Errorf("%s %s was handed out, and the order %s says that it was taken back before", h.requestType, uuid, o.ID)
		}
		if h.requestType == "EraseDevice" {
			erased++
		}
		if h.answered {
			accepted++
		}
	}
	if erased > killErasures {
		w.t.Errorf("%d erases were handed out, want %d at most", erased, killErasures)
	}
	w.t.Logf("%d rounds: %d orders known to be signed by two, %d cancelled; %d commands handed out, %d of them erases, %d answered", rounds, len(w.signed), len(w.cancelled), len(w.given), erased, accepted)
	if len(w.signed) < rounds || len(w.given) == 0 {
		w.t.Errorf("only %d orders were signed and %d commands handed out: this was no load", len(w.signed), len(w.given))
	}
}

// orders reads every order, and says which were lost, forgotten, or carried out although
// they were taken back.
func (w *war) orders(s *Server) map[string]order.Order {
	w.t.Helper()
	ctx := w.t.Context()
	out, seen := map[string]order.Order{}, map[ward.OrderID]bool{}
	_, held, err := heldErase(ctx, s)
	if err != nil {
		w.t.Fatal(err)
	}
	for f := (order.Filter{Limit: 100}); ; {
		page, err := s.Orders.List(ctx, f)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range page {
			f.After, seen[o.ID] = o.ID, true
			t := o.Targets[0]
			if t.Command != "" {
				if twin, ok := out[t.Command]; ok {
					w.t.Errorf("the orders %s and %s have one command", o.ID, twin.ID)
				}
				out[t.Command] = o
			}
			handed := w.given[t.Command]
			switch {
			case w.cancelled[o.ID] && o.State != order.Cancelled:
				w.t.Errorf("the order %s is %s, and its cancelling was acknowledged", o.ID, o.State)
			case o.State != order.Issued || t.Outcome == order.Accepted && handed != nil:
			case slices.Contains([]order.Outcome{order.Superseded, order.Withheld}, t.Outcome) && o.Kind == order.Erase: // another erase was quicker
			case o.Kind == order.Erase && held: // it waits for a release
			default:
				w.t.Errorf("the order %s was signed by two and is %s, %q; handed out: %v", o.ID, t.Outcome, t.Error, handed != nil)
			}
		}
		if len(page) < f.Limit {
			break
		}
	}
	for id := range w.signed {
		if !seen[id] {
			w.t.Errorf("the order %s was acknowledged as signed, and is lost", id)
		}
	}
	return out
}

// heldErase says whether the brake holds erasures.
func heldErase(ctx context.Context, s *Server) (brake.Hold, bool, error) {
	l, err := s.Brake.Ledger(ctx)
	if err != nil {
		return brake.Hold{}, false, err
	}
	h, held := l.Held(brake.Erase)
	return h, held, nil
}
