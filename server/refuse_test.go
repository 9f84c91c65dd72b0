package server

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"go.uber.org/zap"
)

// cyclic is a binary property list of 43 bytes: an array that holds itself.
func cyclic() []byte {
	b := []byte("bplist00\xa1\x00\x08") // at 8 an array of one: object 0; at 10 the table of offsets
	trailer := make([]byte, 32)
	trailer[6], trailer[7] = 1, 1 // sizes of an offset and of a reference
	binary.BigEndian.PutUint64(trailer[8:], 1)
	binary.BigEndian.PutUint64(trailer[24:], 10)
	return append(b, trailer...)
}

func deep(n int) []byte {
	return []byte("<plist>" + strings.Repeat("<array>", n) + strings.Repeat("</array>", n) + "</plist>")
}

// TestRefusals: whatever is wrong with what a device sends gets a clear 4xx that is
// never 401, a line in the log, and changes nothing.
func TestRefusals(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		one := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")
		other := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-2")
		fresh := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-3")
		left := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-4")
		enrolWire(t, one, "SN1")
		enrolWire(t, other, "SN2")
		enrolWire(t, left, "SN4")
		for _, d := range []wire{one, other, left} {
			d.drain(t)
		}
		if got := left.checkOut(t); got.status != http.StatusOK {
			t.Fatalf("CheckOut was answered %d", got.status)
		}
		as := func(d wire, udid string) wire { d.udid = udid; return d }
		stranger := wire{w, "UDID-1", selfSigned(t, sharedKey(t)), sharedKey(t)}
		idle := encode(t, map[string]any{"UDID": "UDID-1", "Status": "Idle"})
		headers := func(kv ...string) http.Header {
			h := http.Header{"Content-Type": {commandMIME}}
			for i := 0; i < len(kv); i += 2 {
				h.Set(kv[i], kv[i+1])
			}
			return h
		}
		long := strings.Repeat("U", 100_000)
		w.repels(t, "Idle after CheckOut", string(w.show(t, "UDID-4").Device.ID), "403", []string{"certificate revoked"}, func() string { return strconv.Itoa(left.idle(t).status) })
		for _, tc := range []struct {
			name string
			want int
			deed func() said
		}{
			{"no proof at all", 400, func() said { return w.send(t, w.people, idle, headers()) }},
			{"a signature over another body", 400, func() said {
				return w.send(t, w.people, idle, headers("Mdm-Signature", sign(t, []byte("another"), one.cert, one.key)))
			}},
			{"a signature that is none", 400, func() said { return w.send(t, w.people, idle, headers("Mdm-Signature", "AAAA")) }},
			{"a deeply nested signature", 400, func() said {
				der := bytes.Repeat([]byte{0x30, 0x80}, 20_000)
				return w.send(t, w.people, idle, headers("Mdm-Signature", base64.StdEncoding.EncodeToString(der)))
			}},
			{"a self-signed certificate", 400, func() said { return stranger.idle(t) }},
			{"a certificate header from no trusted proxy", 400, func() said {
				return w.send(t, w.people, idle, headers("X-Ssl-Client-Cert", ":"+base64.StdEncoding.EncodeToString(one.cert.Raw)+":"))
			}},
			{"a binary property list that holds itself", 400, func() said { return one.raw(t, commandMIME, cyclic()) }},
			{"the same at check-in", 400, func() said { return one.raw(t, checkinMIME, cyclic()) }},
			{"deep nesting", 400, func() said { return one.raw(t, commandMIME, deep(200_000)) }},
			{"an empty body", 400, func() said { return one.raw(t, commandMIME, nil) }},
			{"half a property list", 400, func() said { return one.raw(t, commandMIME, idle[:len(idle)/2]) }},
			{"a property list of another kind", 400, func() said { return one.raw(t, commandMIME, encode(t, map[string]any{"Status": 7})) }},
			{"a check-in of an unknown kind", 400, func() said { return one.checkin(t, "Greeting", nil) }},
			{"a check-in without a UDID", 400, func() said { return as(one, "").tokenUpdate(t) }},
			{"a report without a UDID", 400, func() said { return as(one, "").idle(t) }},
			{"an Authenticate with a UDID of 100,000 letters", 400, func() said { return as(fresh, long).authenticate(t, "SN3") }},
			{"an Authenticate with a serial number of 100,000 letters", 400, func() said { return fresh.authenticate(t, long) }},
			{"an oversized body", 413, func() said { return one.raw(t, commandMIME, bytes.Repeat([]byte(" "), 5<<20)) }},
			{"a device that never enrolled", 403, func() said { return fresh.idle(t) }},
			{"a TokenUpdate without an Authenticate", 403, func() said { return fresh.tokenUpdate(t) }},
			{"a CheckOut without an enrolment", 403, func() said { return fresh.checkOut(t) }},
			{"another device's certificate for Idle", 403, func() said { return as(other, "UDID-1").idle(t) }},
			{"another device's certificate for an answer", 403, func() said { return as(other, "UDID-1").report(t, "Acknowledged", "X", nil) }},
			{"another device's certificate for TokenUpdate", 403, func() said { return as(other, "UDID-1").tokenUpdate(t) }},
			{"another device's certificate for CheckOut", 403, func() said { return as(other, "UDID-1").checkOut(t) }},
			{"another device's certificate for Authenticate", 403, func() said { return as(other, "UDID-1").authenticate(t, "SN1") }},
			{"another device's certificate for its bootstrap token", 403, func() said {
				return as(other, "UDID-1").checkin(t, "SetBootstrapToken", map[string]any{"BootstrapToken": []byte("x")})
			}},
			{"Idle after CheckOut, once more", 403, func() said { return left.idle(t) }},
			{"TokenUpdate after CheckOut", 403, func() said { return left.tokenUpdate(t) }},
			{"Authenticate after CheckOut", 403, func() said { return left.authenticate(t, "SN4") }},
			{"CheckOut after CheckOut", 403, func() said { return left.checkOut(t) }},
			{"a declaration that nobody wants", 404, func() said {
				return one.checkin(t, "DeclarativeManagement", map[string]any{"Endpoint": "declaration/configuration/org.wardmdm.declaration.none"})
			}},
			{"another device's certificate for declarations", 403, func() said {
				return as(other, "UDID-1").checkin(t, "DeclarativeManagement", map[string]any{"Endpoint": "tokens"})
			}},
		} {
			w.refused(t, tc.name, tc.want, tc.deed)
		}
		if err := w.Devices.Move(w.ctx, w.show(t, "UDID-1").Device.ID, fleet.QuarantineGroup); err != nil {
			t.Fatal(err)
		}
		w.refused(t, "a device that waits for a person to sort it asks for its declarations", http.StatusNotFound, func() said {
			return one.checkin(t, "DeclarativeManagement", map[string]any{"Endpoint": "tokens"})
		})
		for _, d := range []wire{one, other} {
			if got := d.idle(t); got.status != http.StatusOK {
				t.Errorf("%s was answered %d after all this, want 200", d.udid, got.status)
			}
		}
		for _, e := range w.logs.FilterLevelExact(zap.ErrorLevel).All() {
			t.Errorf("a refusal was logged as the server's own error: %s %v", e.Message, e.ContextMap())
		}
	})
}

// TestRepeated: what a device says twice is done once.
func TestRepeated(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		d := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")
		enrolWire(t, d, "SN1")
		d.drain(t)
		id := w.show(t, "SN1").Enrolment
		update := func() string {
			if got := d.tokenUpdate(t); got.status != http.StatusOK {
				t.Fatalf("TokenUpdate was answered %d", got.status)
			}
			e := w.show(t, "SN1").Enrolment
			return string(e.ID) + e.Enrolled.String()
		}
		if a, b := update(), update(); a != b || a != string(id.ID)+id.Enrolled.String() {
			t.Errorf("TokenUpdate again changed the enrolment from %s to %s", a, b)
		}
		if n := w.audited(t, "device.enrolled"); n != 1 {
			t.Errorf("%d enrolments in the audit log, want 1", n)
		}

		raw := encode(t, map[string]any{"CommandUUID": "C1", "Command": map[string]any{"RequestType": "CertificateList"}})
		if _, err := w.queue.Enqueue(w.ctx, command.New{UUID: "C1", Enrolment: id.ID, RequestType: "CertificateList", Body: raw}); err != nil {
			t.Fatal(err)
		}
		if got := d.idle(t).command(t); got.UUID != "C1" {
			t.Fatalf("command %q, want C1", got.UUID)
		}
		if got := d.report(t, "Acknowledged", "C1", nil); got.status != http.StatusOK {
			t.Fatalf("the answer was answered %d", got.status)
		}
		w.unchanged(t, "an answer given twice", func() {
			if got := d.report(t, "Error", "C1", nil); got.status != http.StatusOK || len(got.body) != 0 {
				t.Errorf("an answer given twice was answered %d %q, want 200 and nothing", got.status, got.body)
			}
		})
		w.unchanged(t, "an answer to a command that never was", func() {
			if got := d.report(t, "Acknowledged", "NEVER", nil); got.status != http.StatusOK {
				t.Errorf("an answer to a command that never was: %d, want 200", got.status)
			}
		})
	})
}

// audited counts the entries of an action.
func (w *world) audited(t *testing.T, action string) (n int) {
	t.Helper()
	for row, count := range w.rows(t) {
		if strings.HasPrefix(row, "audit_entry ") && strings.Contains(row, `"action":"`+action+`"`) {
			n += count
		}
	}
	return n
}

// TestUnreadableAnswer: an answer in an unexpected form closes its command as refused.
// Otherwise it would be handed out for ever, and stand before every later one.
func TestUnreadableAnswer(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	d := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")
	enrolWire(t, d, "SN1")
	first := d.idle(t).command(t)
	if first.RequestType != "DeviceInformation" {
		t.Fatalf("the first command is %q, want DeviceInformation", first.RequestType)
	}
	got := d.report(t, "Acknowledged", first.UUID, map[string]any{"QueryResponses": "a text"})
	if got.status != http.StatusOK {
		t.Fatalf("it was answered %d %q, want 200", got.status, got.body)
	}
	for _, c := range w.show(t, "SN1").Commands {
		if c.UUID == first.UUID && (c.State != command.Refused || !strings.Contains(c.Error, "can't be read")) {
			t.Errorf("the command is %s, %q; want refused, because the answer can't be read", c.State, c.Error)
		}
	}
	if slices.Contains(d.drain(t), "DeviceInformation") {
		t.Error("the command was handed out again at once")
	}
}

// TestMutualTLS: the certificate in TLS proves a device as well as a signature does,
// and no better.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	p := w.phone(t, "1", func(o *virtual.Options) { o.ClientCertificate = true })
	w.enrol(t, p, ward.Corporate)
	cert, e := certificateOf(t, p)
	client := w.mutual(t, cert, e.Key)
	body := func(udid string) []byte { return encode(t, map[string]any{"UDID": udid, "Status": "Idle"}) }
	h := http.Header{"Content-Type": {commandMIME}}
	if got := w.send(t, client, body(p.UDID()), h); got.status != http.StatusOK {
		t.Errorf("with its certificate it was answered %d, want 200", got.status)
	}
	w.refused(t, "another UDID", http.StatusForbidden, func() said { return w.send(t, client, body("UDID-9"), h) })
	own := w.mutual(t, selfSigned(t, sharedKey(t)), sharedKey(t))
	w.refused(t, "a self-signed certificate in TLS", http.StatusBadRequest, func() said { return w.send(t, own, body(p.UDID()), h) })
}

// TestProxyHeader: a certificate in a header is believed from a trusted proxy only.
func TestProxyHeader(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, network string
		want          int
	}{{"trusted", "127.0.0.0/8", http.StatusOK}, {"not trusted", "10.1.2.3/32", http.StatusBadRequest}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, "", func(c *Config) { c.MDM.ProxyHeader, c.MDM.TrustedProxies = "X-Device-Cert", []string{tc.network} })
			p := w.phone(t, "1", nil)
			w.enrol(t, p, ward.Corporate)
			cert, _ := certificateOf(t, p)
			h := http.Header{"Content-Type": {commandMIME}, "X-Device-Cert": {":" + base64.StdEncoding.EncodeToString(cert.Raw) + ":"}}
			got := w.send(t, w.people, encode(t, map[string]any{"UDID": p.UDID(), "Status": "Idle"}), h)
			if got.status != tc.want {
				t.Errorf("it was answered %d, want %d", got.status, tc.want)
			}
			h.Set("X-Device-Cert", "nonsense")
			if got := w.send(t, w.people, encode(t, map[string]any{"UDID": p.UDID(), "Status": "Idle"}), h); got.status != http.StatusBadRequest {
				t.Errorf("a header that holds no certificate was answered %d, want 400", got.status)
			}
		})
	}
}

// TestSlowClient: who sends a body drop by drop is cut off.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	h, err := w.Handler()
	if err != nil {
		t.Fatal(err)
	}
	srv := w.httpServer(h)
	if srv.ReadTimeout != readTimeout || srv.ReadHeaderTimeout != readHeaderTimeout || srv.IdleTimeout <= 0 || srv.WriteTimeout <= 0 || srv.MaxHeaderBytes <= 0 {
		t.Errorf("the server's limits are %s, %s, %s, %s, %d", srv.ReadTimeout, srv.ReadHeaderTimeout, srv.IdleTimeout, srv.WriteTimeout, srv.MaxHeaderBytes)
	}
	srv.ReadTimeout, srv.ReadHeaderTimeout, srv.TLSConfig = 200*time.Millisecond, 200*time.Millisecond, w.tlsConfig()
	l := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- closed(srv.ServeTLS(l, "", "")) }()
	t.Cleanup(func() {
		if err := firstOf(srv.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
	for name, begin := range map[string]string{
		"headers": "PUT /mdm HTTP/1.1\r\nHost: ward\r\nX-Slow: ",
		"body":    "PUT /mdm HTTP/1.1\r\nHost: ward\r\nContent-Length: 1000\r\n\r\n<plist>",
		"chunks":  "PUT /mdm HTTP/1.1\r\nHost: ward\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n<plist>\r\n",
	} {
		d := tls.Dialer{Config: &tls.Config{RootCAs: w.Authority.Pool(), NextProtos: []string{"http/1.1"}}}
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(begin)); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Errorf("%s: the connection is still open after 10 s", name)
		}
		if len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) {
			t.Errorf("%s: the answer was %q, want a 4xx or none", name, answer)
		}
		if err := c.Close(); err != nil {
			t.Log(err) // it was cut off
		}
	}
}
