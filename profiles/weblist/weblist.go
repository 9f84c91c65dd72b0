// Package weblist writes the hosts of messaging apps as lists that name servers, content
// filters and browsers take. It chooses no hosts, except that it never writes one that
// must stay reachable or that an approved app uses, and it delivers nothing.
package weblist

import (
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

// Format is a way to write a list.
type Format string

// The formats.
const (
	// Hosts is a hosts file: https://man7.org/linux/man-pages/man5/hosts.5.html. It covers
	// the names themselves only, not those beneath them.
	Hosts Format = "hosts"
	// RPZ is a response policy zone, as BIND, Unbound, Knot Resolver and PowerDNS read it:
	// https://datatracker.ietf.org/doc/html/draft-vixie-dnsop-dns-rpz-00
	RPZ Format = "rpz"
	// AdGuard is AdGuard's syntax for name servers, which Pi-hole 6 reads too:
	// https://adguard-dns.io/kb/general/dns-filtering-syntax/
	AdGuard Format = "adguard"
	// Chrome is a file of managed policy for Chrome and Chromium:
	// https://chromeenterprise.google/policies/#URLBlocklist
	Chrome Format = "chrome"
	// Edge is the same for Edge:
	// https://learn.microsoft.com/deployedge/microsoft-edge-policies/urlblocklist
	Edge Format = "edge"
	// Firefox is a policies.json:
	// https://mozilla.github.io/policy-templates/#websitefilter
	Firefox Format = "firefox"
	// Plain is one host in each line.
	Plain Format = "plain"
)

// Formats returns every format in the order in which people read them.
func Formats() []Format { return []Format{Hosts, RPZ, AdGuard, Chrome, Edge, Firefox, Plain} }

// FileName is the usual name of a file of the format; empty for one that is none.
func (f Format) FileName() string {
	return map[Format]string{
		Hosts: "hosts", RPZ: "messaging.rpz.zone", AdGuard: "adguard.txt", Chrome: "chrome.json",
		Edge: "edge.json", Firefox: "policies.json", Plain: "hosts.txt",
	}[f]
}

// MediaType is the media type of the format.
func (f Format) MediaType() string {
	switch f {
	case Chrome, Edge, Firefox:
		return "application/json"
	case RPZ:
		return "text/dns" // RFC 4027
	}
	return "text/plain; charset=utf-8"
}

// MaxBrowserEntries is how many entries a browser reads; it ignores those after them.
const MaxBrowserEntries = 1000

// Host is a host or a name of servers, with the app to which it belongs. A host of
// several apps stands there once for each.
type Host struct {
	Name string
	App  string // the app's name; may be empty
}

// List is what is to be written.
type List struct {
	Policy  string // the policy's name, for the reader
	Version string // the policy's version, for the reader
	// Serial is the serial number of the zone: the same list has the same, a later one a
	// greater one (RFC 1982), or servers keep the old zone.
	Serial uint32
	Hosts  []Host
	// Keep are hosts of approved apps. What equals one of them, or stands above or beneath
	// it, is taken out.
	Keep []string
}

// FromApps returns the hosts of the apps' web versions, and with network the names of
// their servers too, without those that are shared, must stay reachable, or belong to
// apps that are never blocked.
func FromApps(apps []catalogue.App, network bool) []Host {
	var hosts []Host
	for _, a := range apps {
		if a.NeverBlock {
			continue
		}
		ids := a.BlockableWeb()
		if network {
			ids = append(ids, a.BlockableNetwork()...)
		}
		for _, id := range ids {
			hosts = append(hosts, Host{Name: id.ID, App: a.Name})
		}
	}
	return hosts
}

// Write writes a list. The same list gives the same bytes whatever the order of its
// hosts. What must stay reachable (catalogue.Refused) is taken out; a comment tells what
// was and why, in the formats that have comments: JSON has none, and browsers complain of
// keys that they do not know.
//
// An unknown format, a host that is none and more hosts than a browser reads are a
// *ward.Error of the kind Invalid; then nothing was written.
func Write(w io.Writer, format Format, l List) error {
	s, err := l.sort()
	if err != nil {
		return err
	}
	switch format {
	case Hosts:
		return s.text(w, "#", hostsIntro, hostsLines)
	case RPZ:
		return s.zone(w, l.Serial)
	case AdGuard:
		return s.text(w, "!", nil, adguardLines)
	case Plain:
		return s.text(w, "#", nil, plainLines)
	case Chrome, Edge:
		return s.chromium(w)
	case Firefox:
		return s.firefox(w)
	}
	return ward.Errorf(ward.Invalid, "There is no format %q: it is one of %s.", format, formatNames())
}

func formatNames() string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// sorted is a list that is ready to be written.
type sorted struct {
	policy, version string
	groups          []group
	out             []string // what was taken out and why, in sentences
}

// group is the hosts of one app, or of several that share them.
type group struct {
	apps  string
	hosts []string
}

// sort puts the list into the one order in which it is written.
func (l List) sort() (sorted, error) {
	s := sorted{policy: oneLine(l.Policy), version: oneLine(l.Version)}
	keep, err := names(l.Keep)
	if err != nil {
		return sorted{}, err
	}
	apps := map[string][]string{}
	for _, h := range l.Hosts {
		name, err := hostName(h.Name)
		if err != nil {
			return sorted{}, err
		}
		if app := oneLine(h.App); !slices.Contains(apps[name], app) {
			apps[name] = append(apps[name], app)
		}
	}
	byApps := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		if reason, refused := catalogue.Refused(name); refused {
			s.out = append(s.out, "Left out: "+reason)
			continue
		}
		if i := slices.IndexFunc(keep, func(k string) bool { return within(name, k) || within(k, name) }); i >= 0 {
			s.out = append(s.out, "Left out: "+name+", because an approved app uses "+keep[i]+".")
			continue
		}
		slices.Sort(apps[name])
		label := strings.Join(apps[name], ", ")
		byApps[label] = append(byApps[label], name)
	}
	for _, label := range slices.Sorted(maps.Keys(byApps)) {
		s.groups = append(s.groups, group{apps: label, hosts: byApps[label]})
	}
	return s, nil
}

// within reports whether name is above or stands beneath it.
func within(name, above string) bool {
	return name == above || strings.HasSuffix(name, "."+above)
}

func names(hosts []string) ([]string, error) {
	var all []string
	for _, h := range hosts {
		name, err := hostName(h)
		if err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// hostName returns a name in the form in which name servers have it.
func hostName(h string) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(h), "*."), ".")
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil || len(ascii) > 253 || !strings.Contains(ascii, ".") || strings.Contains(ascii, "..") || strings.Trim(ascii, ".") != ascii {
		return "", ward.Errorf(ward.Invalid, "%q is no host name.", h)
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if len(label) > 63 {
			return "", ward.Errorf(ward.Invalid, "%q is no host name.", h)
		}
	}
	return strings.ToLower(ascii), nil
}

// hosts returns every host, sorted, as browsers get them.
func (s sorted) hosts() ([]string, error) {
	all := []string{}
	for _, g := range s.groups {
		all = append(all, g.hosts...)
	}
	if len(all) > MaxBrowserEntries {
		return nil, ward.Errorf(ward.Invalid, "The list has %d hosts, and browsers read %d: block fewer apps, or use a list for name servers.", len(all), MaxBrowserEntries)
	}
	slices.Sort(all)
	return all, nil
}

// oneLine makes a text one line, so that a name can't end a comment.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)), " ")
}
