package applemdm

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/plist"
)

const testHead = quickHead + "\n" + quickType + "\n" + quickRoot + "\n"

// quickSeeds are bodies that the quick reader takes, and others that it must leave.
var quickSeeds = []struct {
	name, body string
	taken      bool
}{
	{"idle", testHead + "<dict>\n\t<key>Status</key>\n\t<string>Idle</string>\n\t<key>UDID</key>\n\t<string>U-1</string>\n</dict>\n</plist>\n", true},
	{"without a document type", quickHead + quickRoot + "<dict><key>Status</key><string>Idle</string></dict></plist>", true},
	{"device information", testHead + `<dict><key>CommandUUID</key><string>C</string><key>Status</key><string>Acknowledged</string><key>UDID</key><string>U</string><key>QueryResponses</key><dict>
		<key>DeviceName</key><string>Zoë’s phone</string><key>OSVersion</key><string>18.6</string><key>IsSupervised</key><true/><key>IsMDMLostModeEnabled</key><false/><key>BatteryLevel</key><real>0.81</real>
		<key>SerialNumber</key><string/><key>N</key><integer>12</integer><key>L</key><array><dict/><string>a</string><array/></array></dict></dict></plist>`, true},
	{"the last of equal keys", testHead + "<dict><key>Status</key><string>Idle</string><key>Status</key><string>NotNow</string></dict></plist>", true},
	{"a reference", testHead + "<dict><key>Status</key><string>I&#100;le</string></dict></plist>", false},
	{"a comment", testHead + "<dict><!-- --><key>Status</key><string>Idle</string></dict></plist>", false},
	{"a carriage return", testHead + "<dict>\r\n<key>Status</key><string>Idle</string></dict></plist>", false},
	{"a section", testHead + "<dict><key>Status</key><string><![CDATA[Idle]]></string></dict></plist>", false},
	{"an attribute", testHead + `<dict a="b"><key>Status</key><string>Idle</string></dict></plist>`, false},
	{"data", testHead + "<dict><key>Status</key><string>Idle</string><key>D</key><data>AAAA</data></dict></plist>", false},
	{"another encoding", `<?xml version="1.0" encoding="UTF-16"?>` + quickRoot + "<dict><key>Status</key><string>Idle</string></dict></plist>", false},
	{"broken UTF-8", testHead + "<dict><key>Status</key><string>Idle\xff</string></dict></plist>", false},
	{"a value without a key", testHead + "<dict><string>Idle</string></dict></plist>", false},
	{"a key without a value", testHead + "<dict><key>Status</key></dict></plist>", false},
	{"something after it", testHead + "<dict><key>Status</key><string>Idle</string></dict></plist><plist/>", false},
	{"no dictionary", testHead + "<array><string>Idle</string></array></plist>", false},
	{"markup in text", testHead + "<dict><key>Status</key><string>I<b/>dle</string></dict></plist>", false},
	{"the end of a section", testHead + "<dict><key>Status</key><string>Idle]]></string></dict></plist>", false},
	{"a large number", testHead + "<dict><key>N</key><integer>99999999999999999999</integer></dict></plist>", false},
	{"nothing", "", false},
}

func TestQuickTakes(t *testing.T) {
	t.Parallel()
	for _, s := range quickSeeds {
		if _, ok := quick([]byte(s.body)); ok != s.taken {
			t.Errorf("%s: taken %v, want %v", s.name, ok, s.taken)
		}
		agree(t, []byte(s.body))
	}
}

// FuzzQuick holds the quick reader against the library: what it takes the library takes
// too, and reads the same.
func FuzzQuick(f *testing.F) {
	for _, s := range quickSeeds {
		f.Add([]byte(s.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) <= maxBody && guard(body) == nil {
			agree(t, body)
		}
	})
}

func agree(t *testing.T, body []byte) {
	t.Helper()
	root, ok := quick(body)
	if !ok {
		return
	}
	if got, ok := quickResults(&root, body); ok {
		want, err := mdm.DecodeCommandResults(body)
		if err != nil {
			t.Fatalf("the library refuses %q: %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("report %q (-library +quick):\n%s", body, diff)
		}
	}
	if got, ok := quickCommand(&root, body); ok {
		want, err := mdm.DecodeCommand(body)
		if err != nil {
			t.Fatalf("the library refuses %q: %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("command %q (-library +quick):\n%s", body, diff)
		}
	}
	if got, ok := quickAnswer(&root); ok {
		var want answer
		if err := plist.Unmarshal(body, &want); err != nil {
			t.Fatalf("the library refuses %q: %v", body, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{}, queryResponses{})); diff != "" {
			t.Errorf("answer %q (-library +quick):\n%s", body, diff)
		}
	}
}

func BenchmarkReport(b *testing.B) {
	body := []byte(quickSeeds[2].body)
	b.Run("quick", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			root, ok := quick(body)
			if _, taken := quickResults(&root, body); !ok || !taken {
				b.Fatal("the quick reader does not take it")
			}
			if _, err := readTold(&root, true, body, time.Time{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := mdm.DecodeCommandResults(body); err != nil {
				b.Fatal(err)
			}
			if _, err := readTold(nil, false, body, time.Time{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
