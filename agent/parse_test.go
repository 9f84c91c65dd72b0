package agent

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"
)

func TestDecodePlistRefuses(t *testing.T) {
	t.Parallel()
	const head = `<?xml version="1.0"?><plist version="1.0">`
	for _, tc := range []struct {
		name string
		data string
	}{
		{"empty", ""},
		{"text", "hello"},
		{"binary", "bplist00\xd1\x00\x00"},
		{"too large", head + "<string>" + strings.Repeat("x", 2000) + "</string></plist>"},
		{"too deep", head + strings.Repeat("<array>", 60) + strings.Repeat("</array>", 60) + "</plist>"},
		{"deep and never closed", head + strings.Repeat("<array>", 140)},
		{"broken", head + "<dict><key>a</dict>"},
		{"unknown element", head + "<table/></plist>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var v any
			if err := DecodePlist([]byte(tc.data), 1000, &v); !errors.Is(err, ErrNotPlist) {
				t.Errorf("DecodePlist() = %v, want ErrNotPlist", err)
			}
		})
	}
}

func TestGuardBER(t *testing.T) {
	t.Parallel()
	deep := bytes.Repeat([]byte{0x30, 0x80}, 5000)
	for _, tc := range []struct {
		name string
		data []byte
		want error
	}{
		{"flat", []byte{0x30, 3, 2, 1, 5}, nil},
		{"indefinite", []byte{0x30, 0x80, 2, 1, 5, 0, 0}, nil},
		{"indefinite and deep", deep, ErrNotCMS},
		{"longer than the data", []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, ErrNotCMS},
		{"primitive without a length", []byte{0x04, 0x80}, ErrNotCMS},
		{"cut off", []byte{0x30}, ErrNotCMS},
		{"long tag without an end", []byte{0x3f, 0xff, 0xff}, ErrNotCMS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if err := guardBER(tc.data); !errors.Is(err, tc.want) {
				t.Errorf("guardBER() = %v, want %v", err, tc.want)
			}
		})
	}
}

func TestParseCommand(t *testing.T) {
	t.Parallel()
	raw := []byte(`<plist version="1.0"><dict><key>CommandUUID</key><string>C-1</string><key>Command</key><dict><key>RequestType</key><string>DeviceLock</string></dict></dict></plist>`)
	got, err := ParseCommand(raw)
	want := Command{UUID: "C-1", RequestType: "DeviceLock", Payload: map[string]any{"RequestType": "DeviceLock"}, Raw: raw}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ParseCommand() = %v mismatch (-want +got):\n%s", err, diff)
	}
}

func TestSubjectName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rdns [][][]string
		want string // empty for an error
	}{
		{nil, "CN=MDM device"},
		{[][][]string{{{"O", "Trust"}}, {{"CN", "x"}}}, "CN=x,O=Trust"},
		{[][][]string{{{"2.5.4.5", "77"}}}, "SERIALNUMBER=77"},
		{[][][]string{{{"nonsense", "x"}}}, ""},
	} {
		t.Run(fmt.Sprint(tc.rdns), func(t *testing.T) {
			t.Parallel()
			der, err := subjectName(tc.rdns)
			if (err != nil) != (tc.want == "") {
				t.Fatalf("subjectName() error = %v, want %q", err, tc.want)
			}
			if err != nil {
				return
			}
			var name pkix.RDNSequence
			if _, err := asn1.Unmarshal(der, &name); err != nil {
				t.Fatal(err)
			}
			if got := name.String(); got != tc.want {
				t.Errorf("subjectName() = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestRetriable(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"server down", &StatusError{Status: http.StatusBadGateway}, true},
		{"too many", &StatusError{Status: http.StatusTooManyRequests, RetryAfter: time.Second}, true},
		{"refused", &StatusError{Status: http.StatusBadRequest}, false},
		{"network", errors.New("connection reset"), true},
		{"oversized", errOversized, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := transient(tc.err); got != tc.want {
				t.Errorf("transient(%v) = %v, want %v", tc.err, got, tc.want)
			}
		})
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(`<plist version="1.0"><dict><key>CommandUUID</key><string>C</string><key>Command</key><dict><key>RequestType</key><string>X</string></dict></dict></plist>`))
	f.Add([]byte(`<?xml version="1.0"?><plist><dict><key>a</key><integer>-1</integer><key>b</key><date>2026-01-01T00:00:00Z</date><key>c</key><real>nan</real></dict></plist>`))
	f.Add([]byte("bplist00\xa1\x00\x08\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a"))
	f.Add([]byte(`<plist><dict><key>k</key><string/><true/></dict></plist>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCommand(data)
		if err == nil && (c.UUID == "" || c.RequestType == "" || c.Payload == nil) {
			t.Errorf("ParseCommand() = %+v without an error", c)
		}
		if err != nil && !errors.Is(err, ErrNotCommand) {
			t.Errorf("ParseCommand() = %v, want ErrNotCommand", err)
		}
	})
}

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(`<plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier</key><string>i</string><key>PayloadUUID</key><string>u</string><key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.mdm</string><key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier</key><string>j</string><key>PayloadUUID</key><string>v</string></dict></array></dict></plist>`))
	f.Add([]byte{0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0, 0x80, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProfile(data)
		if err != nil {
			if _, ok := errors.AsType[*ProfileError](err); !ok {
				t.Errorf("ParseProfile() = %v, want a *ProfileError", err)
			}
			return
		}
		if p.Identifier == "" || len(p.Payloads) == 0 {
			t.Errorf("ParseProfile() = %+v without an error", p)
		}
		if _, _, err := p.MDM(); err != nil {
			return
		}
		if _, err := p.Roots(); err != nil {
			return
		}
	})
}

func FuzzGuardBER(f *testing.F) {
	f.Add([]byte{0x30, 3, 2, 1, 5})
	f.Add([]byte{0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, data []byte) {
		if guardBER(data) != nil {
			return
		}
		_, err := pkcs7.Parse(data) // must not end the process
		_ = err                     // most of the input is no CMS message
	})
}

func FuzzParsePush(f *testing.F) {
	f.Add([]byte(`{"mdm":"x"}`))
	f.Add([]byte(`{"mdm":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if magic, err := parsePush(line); err != nil && magic != "" {
			t.Errorf("parsePush() = %q beside the error %v", magic, err)
		}
	})
}
