package server

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/apns/standin"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestCopies runs two copies of a server on one PostgreSQL. What one does the other
// carries on.
func TestCopies(t *testing.T) {
	t.Parallel()
	a, b, push := twoCopies(t)
	a.devices.Roots().AppendCertsFromPEM(push.CAPEM())
	p := a.phone(t, "1", func(o *virtual.Options) {
		o.PushURL, o.Supervised = push.URL(), true
		o.Store = []virtual.StoreApp{{ID: 42, Installed: virtual.Installed{BundleID: messenger, Name: "Ward Messenger"}}}
	})
	id := a.enrol(t, p, ward.Corporate)
	a.on(t, p)
	if _, err := b.Policy.Publish(b.ctx, storePolicy(t)); err != nil {
		t.Fatal(err)
	}
	await(t, p, "the policy that the other copy published", hasToken)
	app, err := p.Open(messenger)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "quiet", func() bool {
		d := a.show(t, string(id))
		open, err := a.queue.Open(t.Context(), d.Enrolment.ID)
		return err == nil && len(open) == 0 && len(d.View.Got.Credentials) == 1
	})

	// A phone that is there of its own accord takes the command before it is pushed for, and
	// the push may come later.
	start := push.Stats().Accepted
	for commands := 1; ; commands++ {
		times := asked(p, "DeviceInformation")
		if err := b.Devices.Refresh(b.ctx, id); err != nil {
			t.Fatal(err)
		}
		await(t, p, "the command that the other copy queued", func(p *virtual.Phone) bool { return asked(p, "DeviceInformation") > times })
		pushed := push.Stats().Accepted - start
		if pushed > commands || commands == 6 {
			t.Fatalf("%d pushes for %d commands, want one for each", pushed, commands)
		}
		if pushed > 0 {
			break
		}
	}

	held := app.Certificate()
	if _, err := b.Lost.Report(b.ctx, lost.Report{Devices: []ward.DeviceID{id}}); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*world{"the one that serves the app": a, "the one that revoked": b} {
		if _, err := w.Authority.Check(t.Context(), held); !errors.Is(err, ca.ErrRevoked) {
			t.Errorf("%s says of the certificate: %v, want it revoked at once", name, err)
		}
	}
	if _, err := app.InBackground(t.Context()); refusal(err) != http.StatusForbidden {
		t.Errorf("the app's next call: %v, want 403", err)
	}
	await(t, p, "lost mode", func(p *virtual.Phone) bool { _, on := p.InLostMode(); return on })
	if n := asked(p, "EnableLostMode"); n != 1 {
		t.Errorf("lost mode was turned on %d times, want once", n)
	}
}

// twoCopies starts two copies of a server on one PostgreSQL, with the same keys and the
// same push service.
func twoCopies(t *testing.T) (a, b *world, push *standin.Server) {
	t.Helper()
	push, err := standin.Start(standin.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := push.Close(); err != nil {
			t.Error(err)
		}
	})
	apnsCA := filepath.Join(t.TempDir(), "apns.pem")
	if err := os.WriteFile(apnsCA, push.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	c := trialConfig(t, l, storetest.PostgresURL(t))
	c.Trial, c.TLS.Mode, c.Keys = false, TLSSelfMade, t.TempDir()
	c.APNs = APNs{URL: push.URL(), CA: apnsCA}
	c.Enrolment.Attestation = enrollment.AttestationOff // its phones are virtual
	a = run(t, l, c)
	c.Data = t.TempDir()
	b = run(t, listen(t), c)
	_, cert, key, err := push.IssueCertificate("com.apple.mgmt.External.copies")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.mdm.StorePushCert(t.Context(), cert, key); err != nil {
		t.Fatal(err)
	}
	return a, b, push
}

// storePolicy is the example with its app from the App Store, for only a trial serves a
// package of its own.
func storePolicy(t *testing.T) []byte {
	t.Helper()
	var lines []string
	for line := range strings.Lines(string(profiles.ExamplePolicy())) {
		if before, _, ok := strings.Cut(line, "manifest_url:"); ok {
			line = before + "app_store_id: 42\n"
		}
		lines = append(lines, line)
	}
	return []byte(strings.Join(lines, ""))
}

// TestAdoption: a device of another authority checks in without an invitation only where
// that authority is configured, and waits in quarantine.
func TestAdoption(t *testing.T) {
	t.Parallel()
	authority, key := foreignAuthority(t)
	stranger, strangerKey := foreignAuthority(t)
	file := filepath.Join(t.TempDir(), "old.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := start(t, "", nil)
	open := start(t, "", func(c *Config) { c.MDM.DeviceAuthorities = []string{file} })
	leaf := foreignDevice(t, authority, key)
	closed.refused(t, "another authority's device where none is configured", http.StatusBadRequest, func() said {
		return wire{closed, "OLD-1", leaf, sharedKey(t)}.authenticate(t, "SN1")
	})
	open.refused(t, "an authority that is not configured", http.StatusBadRequest, func() said {
		return wire{open, "OLD-1", foreignDevice(t, stranger, strangerKey), sharedKey(t)}.authenticate(t, "SN1")
	})
	d := wire{open, "OLD-1", leaf, sharedKey(t)}
	enrolWire(t, d, "SN1")
	got := open.show(t, "OLD-1")
	if got.Device.Group != "quarantine" || got.Device.State != ward.Managed || got.Enrolment.Invitation != "" {
		t.Errorf("it is %s in group %q by invitation %q; want managed, quarantine, none", got.Device.State, got.Device.Group, got.Enrolment.Invitation)
	}
	if types := d.drain(t); len(types) != 0 {
		t.Errorf("in quarantine it was given %v, want nothing", types)
	}
	if err := open.Devices.Move(open.ctx, got.Device.ID, "Ward 7"); err != nil {
		t.Fatal(err)
	}
	if types := d.drain(t); !slices.Contains(types, "DeviceInformation") {
		t.Errorf("moved to a group it was given %v, want to be asked about itself", types)
	}
	second := wire{open, "OLD-1", foreignDevice(t, authority, key), sharedKey(t)}
	open.refused(t, "a second certificate under an adopted UDID", http.StatusForbidden, func() said { return second.authenticate(t, "SN1") })
	for name, content := range map[string]string{"missing": "", "no certificate": "nothing"} {
		c := trialConfig(t, listen(t), "")
		bad := filepath.Join(c.Data, "bad.pem")
		if content != "" {
			if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.MDM.DeviceAuthorities = []string{bad}
		if _, err := New(t.Context(), c); ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), "mdm.device_authorities") {
			t.Errorf("a file of authorities that is %s: %v, want invalid", name, err)
		}
	}
}

func foreignAuthority(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key := sharedKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: rand.Text()}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return certify(t, tmpl, tmpl, key), key
}

func foreignDevice(t *testing.T, authority *x509.Certificate, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "old device"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	return certify(t, tmpl, authority, key)
}

func certify(t *testing.T, tmpl, parent *x509.Certificate, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRawEnqueue: scripts queue harmless commands for several devices and learn of each
// device why not.
func TestRawEnqueue(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		one := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")
		two := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-2")
		for i, d := range []wire{one, two} {
			enrolWire(t, d, []string{"SN1", "SN2"}[i])
			d.drain(t)
		}
		eventually(t, "the pushes of the enrolments", func() bool {
			return !slices.ContainsFunc(w.dump(t), func(r row) bool {
				due, ok := r.Row["due_at"].(float64)
				return r.Table == "push" && (!ok || due <= float64(w.now().UnixMicro()))
			})
		})
		before := w.StandIn().Stats().Accepted
		command := func(uuid, requestType string) *bytes.Reader {
			return bytes.NewReader(encode(t, map[string]any{"CommandUUID": uuid, "Command": map[string]any{"RequestType": requestType}}))
		}
		var got struct {
			Status map[string]struct {
				Error string `json:"error"`
			} `json:"status"`
		}
		status := w.call(t, http.MethodPut, "/enqueue/UDID-1,UDID-2,UDID-9?nopush=1", command("RAW-1", "ProfileList"), &got)
		if status != http.StatusMultiStatus {
			t.Errorf("it was answered %d, want 207", status)
		}
		if got.Status["UDID-1"].Error != "" || got.Status["UDID-2"].Error != "" || got.Status["UDID-9"].Error == "" {
			t.Errorf("it was answered %+v, want an error for UDID-9 alone", got.Status)
		}
		for _, d := range []wire{one, two} {
			if c := d.idle(t).command(t); c.UUID != "RAW-1" || c.RequestType != "ProfileList" {
				t.Errorf("%s was given %q %q, want RAW-1", d.udid, c.UUID, c.RequestType)
			}
		}
		if n := w.StandIn().Stats().Accepted - before; n != 0 {
			t.Errorf("%d pushes although none were wanted", n)
		}
		if status := w.call(t, http.MethodPut, "/enqueue/UDID-1", command("RAW-2", "SecurityInfo"), nil); status != http.StatusOK {
			t.Errorf("with a push it was answered %d, want 200", status)
		}
		eventually(t, "the push", func() bool { return w.StandIn().Stats().Accepted > before })
		for requestType, want := range map[string]int{
			"EraseDevice": http.StatusForbidden, "DeviceLock": http.StatusForbidden, "InstallProfile": http.StatusForbidden, "RemoveProfile": http.StatusForbidden,
			"EnableLostMode": http.StatusForbidden, "Settings": http.StatusForbidden, "": http.StatusBadRequest,
		} {
			w.unchanged(t, "queueing "+requestType+" raw", func() {
				if got := w.call(t, http.MethodPut, "/enqueue/UDID-1", command("RAW-3", requestType), nil); got != want {
					t.Errorf("%q was answered %d, want %d", requestType, got, want)
				}
			})
		}
		w.unchanged(t, "a CommandUUID used twice", func() {
			if got := w.call(t, http.MethodPut, "/enqueue/UDID-1", command("RAW-1", "ProfileList"), nil); got < 400 {
				t.Errorf("a CommandUUID used twice was answered %d, want an error", got)
			}
		})
	})
}
