package weblist

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// header are the sentences at the top of a list.
func (s sorted) header() []string {
	policy := s.policy
	if s.version != "" {
		policy += ", version " + s.version
	}
	lines := []string{"Hosts of messaging apps that are kept off."}
	if policy != "" {
		lines = append(lines, "Policy: "+policy)
	}
	lines = append(lines, "Ward wrote this file: change the policy, not the file.")
	return append(lines, s.out...)
}

// text writes a list that has comments: a header, then the hosts of each app.
func (s sorted) text(w io.Writer, comment string, intro func() string, lines func(host string) string) error {
	var b bytes.Buffer
	for _, l := range s.header() {
		fmt.Fprintf(&b, "%s %s\n", comment, l)
	}
	if intro != nil {
		b.WriteString(intro())
	}
	for _, g := range s.groups {
		b.WriteByte('\n')
		if g.apps != "" {
			fmt.Fprintf(&b, "%s %s\n", comment, g.apps)
		}
		for _, h := range g.hosts {
			b.WriteString(lines(h))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func hostsIntro() string {
	return "# A hosts file covers these names only, not those beneath them: a name server does more.\n"
}

// hostsLines answer with the addresses that nothing has: RFC 1122 section 3.2.1.3 and
// RFC 4291 section 2.5.2.
func hostsLines(host string) string { return "0.0.0.0 " + host + "\n:: " + host + "\n" }

// adguardLines cover the name and what is beneath it.
func adguardLines(host string) string { return "||" + host + "^\n" }

func plainLines(host string) string { return host + "\n" }

// zone writes a response policy zone. A name whose answer is "CNAME ." does not exist
// (NXDOMAIN): section 3.1 of the draft. Names are relative to the zone's own, which the
// name server's configuration gives; a wildcard covers what is beneath a name.
func (s sorted) zone(w io.Writer, serial uint32) error {
	intro := func() string {
		return "$TTL 300\n" +
			"@ IN SOA localhost. hostmaster.localhost. (\n" +
			fmt.Sprintf("\t%d ; serial\n", serial) +
			"\t3600 ; refresh\n\t600 ; retry\n\t604800 ; expire\n\t300 ) ; minimum\n" +
			"@ IN NS localhost.\n"
	}
	return s.text(w, ";", intro, func(host string) string {
		return host + " IN CNAME .\n*." + host + " IN CNAME .\n"
	})
}

// chromium writes managed policy of Chrome and Edge. An entry without a dot before it
// covers what is beneath the host:
// https://learn.microsoft.com/deployedge/edge-learnmmore-url-list-filter%20format
func (s sorted) chromium(w io.Writer) error {
	hosts, err := s.hosts()
	if err != nil {
		return err
	}
	return writeJSON(w, struct{ URLBlocklist []string }{hosts})
}

// firefox writes a policies.json. A match pattern that begins with *. covers the host
// itself and what is beneath it:
// https://developer.mozilla.org/docs/Mozilla/Add-ons/WebExtensions/Match_patterns
func (s sorted) firefox(w io.Writer) error {
	hosts, err := s.hosts()
	if err != nil {
		return err
	}
	for i, h := range hosts {
		hosts[i] = "*://*." + h + "/*"
	}
	type filter struct{ Block []string }
	type policies struct{ WebsiteFilter filter }
	return writeJSON(w, struct {
		Policies policies `json:"policies"`
	}{policies{filter{hosts}}})
}

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
