package server

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/micromdm/nanolib/log"
	"github.com/micromdm/nanomdm/certverify"
	"github.com/micromdm/nanomdm/cryptoutil"
	nanoapi "github.com/micromdm/nanomdm/http/api"
	httpmdm "github.com/micromdm/nanomdm/http/mdm"
	"github.com/micromdm/nanomdm/service/certauth"
	"github.com/micromdm/nanomdm/service/nanomdm"
	"github.com/micromdm/nanomdm/storage/inmem" //nolint:depguard // the peer that is measured
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/store/storetest"
	"golang.org/x/sync/errgroup"
)

// The benchmarks call the handlers in this process, without a network. They compare
// processor time, the database's with it, because elapsed time says more of the machine
// than of the code; and they assert none, because machines differ. ward-load measures a
// server as it is run.

// benchDevices is how many devices take part, and benchAtOnce how many at a time.
const (
	benchDevices = 64
	benchAtOnce  = 16
)

// station is a server that is measured: Ward, or nanomdm with its storage in memory.
type station struct {
	mdm, enqueue http.Handler
	token        string
	database     func() (driver, url string)
}

// benchDevice is a device whose messages are signed ahead.
type benchDevice struct {
	udid string
	cert *x509.Certificate
	key  *rsa.PrivateKey

	idle      []byte
	signature string // of idle
}

// benchCycle is a command and the signed answer to it.
type benchCycle struct {
	device          *benchDevice
	uuid            string
	command, answer []byte
	signature       string // of the answer
}

// benchFleet makes devices with certificates of one authority, which it returns in PEM.
func benchFleet(b *testing.B) ([]*benchDevice, []byte) {
	b.Helper()
	key := sharedKey(b)
	issue := func(t, parent *x509.Certificate) *x509.Certificate {
		t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
		if parent == nil {
			parent = t
		}
		der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), key)
		if err != nil {
			b.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	root := issue(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Bench"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	fleet := make([]*benchDevice, benchDevices)
	for i := range fleet {
		d := &benchDevice{udid: fmt.Sprintf("BENCH-%04d", i), key: key}
		d.cert = issue(&x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: d.udid}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, root)
		fleet[i] = d
	}
	return fleet, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
}

const benchHead = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
`

func benchBody(udid, more string) []byte {
	return []byte(benchHead + "<key>UDID</key><string>" + udid + "</string>" + more + "</dict>\n</plist>\n")
}

// benchAnswer is about as long as a phone's device information.
func benchAnswer() string {
	var s strings.Builder
	s.WriteString("<key>Status</key><string>Acknowledged</string><key>QueryResponses</key><dict><key>OSVersion</key><string>18.6</string><key>IsSupervised</key><true/>")
	for i := range 45 {
		fmt.Fprintf(&s, "\n<key>Answer%02d</key><string>what the phone told</string>", i)
	}
	return s.String() + "</dict>"
}

// wardStation is a Ward server that adopts the devices.
func wardStation(b *testing.B, url string, authority []byte) *station {
	b.Helper()
	c := DefaultConfig()
	c.Data, c.DatabaseURL, c.PublicURL, c.TLS.Mode, c.Log.Level = b.TempDir(), url, "https://mdm.hospital.example", TLSProxy, "fatal"
	path := filepath.Join(c.Data, "authority.pem")
	if err := os.WriteFile(path, authority, 0o600); err != nil {
		b.Fatal(err)
	}
	c.MDM.DeviceAuthorities = []string{path}
	s, err := New(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	h, err := s.Handler()
	if err != nil {
		b.Fatal(err)
	}
	ctx := ward.WithActor(b.Context(), ward.Actor{Name: "console", Via: ward.ViaConsole})
	p, err := s.Access.CreatePerson(ctx, access.NewPerson{Name: "Bench", Roles: ward.Roles})
	if err != nil {
		b.Fatal(err)
	}
	_, token, err := s.Access.CreateToken(ctx, access.NewToken{Person: p.ID, Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	return &station{mdm: h, enqueue: h, token: token, database: func() (string, string) {
		if url != "" {
			return "pgx", url
		}
		return "sqlite", "file:" + filepath.Join(c.Data, "ward.db") + "?_pragma=busy_timeout(10000)"
	}}
}

// peerStation is nanomdm, put together as its own server does it.
func peerStation(b *testing.B, authority []byte) *station {
	b.Helper()
	st := inmem.New()
	verifier, err := certverify.NewPoolVerifier(authority, nil, x509.ExtKeyUsageClientAuth)
	if err != nil {
		b.Fatal(err)
	}
	var h http.Handler = httpmdm.CheckinAndCommandHandler(certauth.New(nanomdm.New(st), st), log.NopLogger)
	h = httpmdm.CertVerifyMiddleware(h, verifier, log.NopLogger)
	h = httpmdm.CertExtractMdmSignatureMiddleware(h, httpmdm.MdmSignatureVerifierFunc(cryptoutil.VerifyMdmSignature))
	prefix := "/api/v1/enqueue/"
	return &station{mdm: h, enqueue: http.StripPrefix(prefix, nanoapi.RawCommandEnqueueToIDsHandler(st, nil, log.NopLogger, nanoapi.PathIDGetter))}
}

// say has a device say something, and returns what it is given.
func (s *station) say(b *testing.B, d *benchDevice, body []byte, signature, mime string) string {
	r := httptest.NewRequest(http.MethodPut, "/mdm", bytes.NewReader(body))
	r.Header.Set("Mdm-Signature", signature)
	r.Header.Set("Content-Type", mime)
	w := httptest.NewRecorder()
	s.mdm.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Errorf("%s was answered %d %s", d.udid, w.Code, w.Body)
	}
	return w.Body.String()
}

// enrol enrols every device.
func (s *station) enrol(b *testing.B, fleet []*benchDevice) {
	b.Helper()
	for i, d := range fleet {
		for _, more := range []string{
			fmt.Sprintf("<key>MessageType</key><string>Authenticate</string><key>Topic</key><string>com.apple.mgmt.bench</string><key>SerialNumber</key><string>BENCH%d</string><key>OSVersion</key><string>18.6</string>", i),
			"<key>MessageType</key><string>TokenUpdate</string><key>Topic</key><string>com.apple.mgmt.bench</string><key>PushMagic</key><string>magic</string><key>Token</key><data>AAAA</data>",
		} {
			body := benchBody(d.udid, more)
			s.say(b, d, body, sign(b, body, d.cert, d.key), checkinMIME)
		}
		d.idle = benchBody(d.udid, "<key>Status</key><string>Idle</string>")
		d.signature = sign(b, d.idle, d.cert, d.key)
		if given := s.say(b, d, d.idle, d.signature, commandMIME); given != "" {
			b.Fatalf("%s was given something before anything was queued: %s", d.udid, given)
		}
	}
}

// cycles makes n commands with signed answers, for one device after the other.
func cycles(b *testing.B, fleet []*benchDevice, n int) []benchCycle {
	b.Helper()
	all := make([]benchCycle, n)
	for i := range all {
		d, id := fleet[i%len(fleet)], uuid.NewString()
		all[i] = benchCycle{device: d, uuid: id}
		all[i].command = []byte(benchHead + "<key>CommandUUID</key><string>" + id + "</string><key>Command</key><dict><key>RequestType</key><string>DeviceInformation</string></dict></dict></plist>")
		all[i].answer = benchBody(d.udid, "<key>CommandUUID</key><string>"+id+"</string>"+benchAnswer())
		all[i].signature = sign(b, all[i].answer, d.cert, d.key)
	}
	return all
}

// cycle queues a command, has it fetched and takes the answer.
func (s *station) cycle(b *testing.B, c benchCycle) {
	r := httptest.NewRequest(http.MethodPut, "/api/v1/enqueue/"+c.device.udid+"?nopush=1", bytes.NewReader(c.command))
	r.Header.Set("Content-Type", "application/xml")
	r.Header.Set("Authorization", "Bearer "+s.token)
	w := httptest.NewRecorder()
	s.enqueue.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Errorf("the command for %s was answered %d %s", c.device.udid, w.Code, w.Body)
	}
	if given := s.say(b, c.device, c.device.idle, c.device.signature, commandMIME); !strings.Contains(given, c.uuid) {
		b.Errorf("%s was not given its command but %.200q", c.device.udid, given)
	}
	if given := s.say(b, c.device, c.answer, c.signature, commandMIME); given != "" {
		b.Errorf("%s answered its only command and was given %.200q", c.device.udid, given)
	}
}

// cost does n pieces of work, benchAtOnce at a time and never two of one device, and
// returns the processor time of one.
func cost(b *testing.B, n int, work func(i int)) time.Duration {
	b.Helper()
	before := processorTime(b)
	var g errgroup.Group
	for worker := range benchAtOnce {
		g.Go(func() error {
			for i := worker; i < n; i += benchAtOnce { // benchDevices is a multiple of benchAtOnce
				work(i)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return (processorTime(b) - before) / time.Duration(n)
}

// processorTime is what this process and the shared PostgreSQL have used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	sum := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	database := storetest.Process()
	if database == 0 {
		return sum
	}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range all {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended, and its time is its parent's
		}
		f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		if f[1] != strconv.Itoa(database) && filepath.Base(filepath.Dir(path)) != strconv.Itoa(database) {
			continue
		}
		for _, ticks := range f[11:15] { // user and system, its own and of children that ended
			n, err := strconv.ParseInt(ticks, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}

// engines runs f on each engine.
func engines(b *testing.B, f func(b *testing.B, url string)) {
	b.Run("sqlite", func(b *testing.B) { f(b, "") })
	b.Run("postgres", func(b *testing.B) { f(b, storetest.PostgresURL(b)) })
}

// BenchmarkCycle is one command from its queueing to its answer: three requests. peer is
// the processor time as a multiple of nanomdm's with its storage in memory, which keeps
// nothing over a restart; it is measured in the same run.
func BenchmarkCycle(b *testing.B) {
	engines(b, func(b *testing.B, url string) {
		fleet, authority := benchFleet(b)
		peer, ward := peerStation(b, authority), wardStation(b, url, authority)
		peer.enrol(b, fleet)
		ward.enrol(b, fleet)
		all := cycles(b, fleet, b.N)
		floor := cost(b, b.N, func(i int) { peer.cycle(b, all[i]) })
		b.ResetTimer()
		took := cost(b, b.N, func(i int) { ward.cycle(b, all[i]) })
		b.StopTimer()
		b.ReportMetric(float64(took.Microseconds()), "cpu-us/op")
		b.ReportMetric(float64(took)/float64(floor), "peer")
	})
}

// BenchmarkIdle is a device that asks and is given nothing. history_ratio is the
// processor time with 5,000 old commands for each device as a multiple of that with none.
func BenchmarkIdle(b *testing.B) {
	engines(b, func(b *testing.B, url string) {
		fleet, authority := benchFleet(b)
		peer, ward := peerStation(b, authority), wardStation(b, url, authority)
		peer.enrol(b, fleet)
		ward.enrol(b, fleet)
		idle := func(s *station) func(int) {
			return func(i int) {
				d := fleet[i%len(fleet)]
				s.say(b, d, d.idle, d.signature, commandMIME)
			}
		}
		floor := cost(b, b.N, idle(peer))
		b.ResetTimer()
		fresh := cost(b, b.N, idle(ward))
		b.StopTimer()
		ward.age(b)
		aged := cost(b, b.N, idle(ward))
		b.ReportMetric(float64(fresh.Microseconds()), "cpu-us/op")
		b.ReportMetric(float64(aged)/float64(fresh), "history_ratio")
		b.ReportMetric(float64(fresh)/float64(floor), "peer")
	})
}

// age writes 5,000 answered commands for each enrolment.
func (s *station) age(b *testing.B) {
	b.Helper()
	driver, url := s.database()
	db, err := sql.Open(driver, url)
	if err != nil {
		b.Fatal(err)
	}
	filler := map[string]string{"sqlite": "zeroblob(400), zeroblob(900)", "pgx": "decode(repeat('00', 400), 'hex'), decode(repeat('00', 900), 'hex')"}[driver]
	_, err = db.ExecContext(b.Context(), `WITH RECURSIVE old (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM old WHERE i < 5000)
		INSERT INTO command (uuid, enrolment_id, request_type, urgent, pending, deferred, state, step_key, case_id, order_id, requested_by, created_at, delivered_at, deliveries, not_now_at, answered_at, error, sealed, answer)
		SELECT 'OLD-' || old.i, e.id, 'DeviceInformation', 1, FALSE, FALSE, 'accepted', '', '', '', '', old.i, old.i, 1, 0, old.i, '', `+filler+` FROM old CROSS JOIN enrolment e`)
	if err = firstOf(err, db.Close()); err != nil {
		b.Fatal(err)
	}
}
