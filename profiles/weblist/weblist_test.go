package weblist_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/weblist"
)

var update = flag.Bool("update", false, "write the golden files")

func sample() weblist.List {
	return weblist.List{
		Policy: "Messaging on\nwork devices", Version: "7", Serial: 2026112207,
		Hosts: []weblist.Host{
			{Name: "web.whatsapp.com", App: "WhatsApp"},
			{Name: "whatsapp.net", App: "WhatsApp Business"},
			{Name: "WhatsApp.net.", App: "WhatsApp"},
			{Name: "whatsapp.net", App: "WhatsApp"},
			{Name: "signal.org", App: "Signal"},
			{Name: "app.wire.com", App: "Wire"},
			{Name: "zoom.us", App: "Zoom Workplace"},
			{Name: "facebook.com", App: "Messenger"},
			{Name: "messenger.com", App: "Messenger"},
			{Name: "bücher.example", App: ""},
		},
		Keep: []string{"wire.com", "us01web.zoom.us"},
	}
}

func write(t *testing.T, f weblist.Format, l weblist.List) string {
	t.Helper()
	var b bytes.Buffer
	if err := weblist.Write(&b, f, l); err != nil {
		t.Fatalf("Write(%s): %v", f, err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, f := range weblist.Formats() {
		got := write(t, f, sample())
		golden := filepath.Join("testdata", string(f)+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s mismatch (-want +got):\n%s", f, diff)
		}
		turned := sample()
		slices.Reverse(turned.Hosts)
		slices.Reverse(turned.Keep)
		if write(t, f, turned) != got {
			t.Errorf("%s depends on the order of the hosts", f)
		}
		if f.FileName() == "" || f.MediaType() == "" {
			t.Errorf("%s has no file name or media type", f)
		}
	}
}

// The whole catalogue in every format: nothing that must stay reachable comes out.
func TestWholeCatalogue(t *testing.T) {
	t.Parallel()
	hosts := weblist.FromApps(catalogue.Builtin().Apps(), true)
	if len(hosts) < 120 {
		t.Fatalf("the catalogue has %d hosts to block, want at least 120", len(hosts))
	}
	web := weblist.FromApps(catalogue.Builtin().Apps(), false)
	if len(web) == 0 || len(web) >= len(hosts) {
		t.Errorf("%d hosts of web versions among %d", len(web), len(hosts))
	}
	for _, f := range weblist.Formats() {
		text := write(t, f, weblist.List{Hosts: hosts})
		for _, n := range catalogue.MustReach() {
			for line := range strings.SplitSeq(text, "\n") {
				line = strings.Trim(line, " \t\",")
				if line == n.Host || strings.HasSuffix(line, " "+n.Host) || strings.HasPrefix(line, n.Host+" IN") || line == "||"+n.Host+"^" || line == "*://*."+n.Host+"/*" {
					t.Errorf("%s blocks %s", f, n.Host)
				}
			}
		}
		if !strings.Contains(text, "web.whatsapp.com") {
			t.Errorf("%s does not block web.whatsapp.com", f)
		}
	}
}

func TestJSONIsWhatBrowsersRead(t *testing.T) {
	t.Parallel()
	var chrome map[string][]string
	if err := json.Unmarshal([]byte(write(t, weblist.Chrome, sample())), &chrome); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"URLBlocklist": {"messenger.com", "signal.org", "web.whatsapp.com", "whatsapp.net", "xn--bcher-kva.example"}}
	if diff := cmp.Diff(want, chrome); diff != "" {
		t.Errorf("chrome mismatch (-want +got):\n%s", diff)
	}
	for _, f := range []weblist.Format{weblist.Chrome, weblist.Firefox} {
		if got := write(t, f, weblist.List{}); strings.Contains(got, "null") {
			t.Errorf("an empty list is %s", got)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	many := weblist.List{}
	for i := range weblist.MaxBrowserEntries + 1 {
		many.Hosts = append(many.Hosts, weblist.Host{Name: fmt.Sprintf("h%d.example.org", i)})
	}
	one := func(name string) weblist.List { return weblist.List{Hosts: []weblist.Host{{Name: name}}} }
	for _, tt := range []struct {
		name   string
		format weblist.Format
		list   weblist.List
		want   string
	}{
		{"unknown format", "bind", weblist.List{}, "hosts, rpz, adguard, chrome, edge, firefox, plain"},
		{"too many for a browser", weblist.Edge, many, "1001 hosts"},
		{"a line's end", weblist.Plain, one("a.example\nb.example"), "no host name"},
		{"a path", weblist.RPZ, one("a.example/x"), "no host name"},
		{"a label", weblist.Hosts, one("localhost"), "no host name"},
		{"nothing", weblist.Hosts, one(""), "no host name"},
		{"a long label", weblist.Hosts, one(strings.Repeat("a", 64) + ".example"), "no host name"},
		{"a host to keep that is none", weblist.Hosts, weblist.List{Keep: []string{"a b"}}, "no host name"},
	} {
		var b bytes.Buffer
		err := weblist.Write(&b, tt.format, tt.list)
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), tt.want) || b.Len() > 0 {
			t.Errorf("%s: Write returns %v after %d bytes, want %q", tt.name, err, b.Len(), tt.want)
		}
	}
	if err := weblist.Write(&bytes.Buffer{}, weblist.RPZ, many); err != nil {
		t.Errorf("a name server reads any number of hosts, but: %v", err)
	}
}

// No name of an app or a policy ends its comment, no host its line.
func FuzzWrite(f *testing.F) {
	f.Add("web.whatsapp.com", "WhatsApp", "Policy", "wire.com")
	f.Add("a.example", "x\n0.0.0.0 apple.com", "\u2028||apple.com^", "")
	f.Fuzz(func(t *testing.T, host, app, policy, keep string) {
		l := weblist.List{Policy: policy, Hosts: []weblist.Host{{Name: host, App: app}}}
		if keep != "" {
			l.Keep = []string{keep}
		}
		for _, format := range []weblist.Format{weblist.Plain, weblist.AdGuard} {
			var b bytes.Buffer
			if err := weblist.Write(&b, format, l); err != nil {
				if ward.KindOf(err) != ward.Invalid {
					t.Errorf("Write(%s) returns %v", format, err)
				}
				continue
			}
			rules := 0
			for line := range strings.Lines(b.String()) {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != '!' {
					rules++
				}
			}
			if rules > 1 {
				t.Errorf("Write(%s) makes %d rules of one host:\n%s", format, rules, b.String())
			}
		}
	})
}

func ExampleWrite() {
	app, _ := catalogue.Builtin().Lookup("signal")
	var b bytes.Buffer
	l := weblist.List{Policy: "Messaging", Version: "3", Hosts: weblist.FromApps([]catalogue.App{app}, true), Keep: []string{"signal.me"}}
	if err := weblist.Write(&b, weblist.AdGuard, l); err != nil {
		fmt.Println(err)
	}
	fmt.Println(b.String())
	// Output:
	// ! Hosts of messaging apps that are kept off.
	// ! Policy: Messaging, version 3
	// ! Ward wrote this file: change the policy, not the file.
	// ! Left out: signal.me, because an approved app uses signal.me.
	//
	// ! Signal
	// ||signal.art^
	// ||signal.group^
	// ||signal.link^
	// ||signal.org^
	// ||signal.tube^
	// ||whispersystems.org^
}
