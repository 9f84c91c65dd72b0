package profiles

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

// MaxPolicySize is the size in bytes above which a policy file is refused unread.
const MaxPolicySize = 1 << 20

// Parse reads a policy file and compiles it for every class of device. If the file is
// wrong the error is a *ward.Error of the kind Invalid whose Details list every mistake
// with its line, its column and, for a name, the nearest right one.
func Parse(data []byte) (*Policy, error) {
	if len(data) > MaxPolicySize {
		return nil, ward.Errorf(ward.Invalid, "The policy file is larger than %d bytes.", MaxPolicySize)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, ward.Errorf(ward.Invalid, "The policy file is empty.")
		}
		return nil, &ward.Error{
			Kind: ward.Invalid, Message: "The policy file is not YAML.",
			Details: []string{strings.TrimPrefix(err.Error(), "yaml: ")},
		}
	}
	r := &reader{policy: &Policy{}, catalogue: catalogue.Builtin()}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		r.wrong(&root, "the file must hold one document; what follows --- would be ignored")
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return nil, ward.Errorf(ward.Invalid, "The policy file is empty.")
	}
	r.file(root.Content[0])
	if err := r.err(); err != nil {
		return nil, err
	}
	if err := r.policy.compile(); err != nil {
		return nil, ward.Errorf(ward.Invalid, "The policy can't be compiled.").Because(err)
	}
	return r.policy, nil
}

// reader reads one policy file into a Policy.
type reader struct {
	document
	policy    *Policy
	catalogue *catalogue.Catalogue
}

func (r *reader) file(n *yaml.Node) {
	p := r.policy
	var block *yaml.Node
	present := r.mapping(n, "the policy",
		field{"name", r.text("name", &p.Name)},
		field{"note", r.text("note", &p.Note)},
		field{"notice", r.text("notice", &p.Notice)},
		field{"approved", func(n *yaml.Node) { r.items(n, "approved", r.approved) }},
		field{"block", func(n *yaml.Node) { block = n; r.block(n) }},
		field{"containment", r.containment},
		field{"lost", r.lost},
	)
	if n.Kind != yaml.MappingNode {
		return
	}
	if p.Name == "" {
		r.wrong(n, "the policy needs a name")
	}
	for _, needed := range []string{"approved", "block", "containment"} {
		if present[needed] {
			r.alternative(block)
			return
		}
	}
	r.wrong(n, "the policy approves, blocks and contains nothing")
}

// alternative asks for a reason where staff are left without a tool: bans without an
// alternative are what moved them to consumer apps in the first place.
func (r *reader) alternative(block *yaml.Node) {
	if block == nil || len(r.policy.blocked) == 0 || len(r.policy.Approved) > 0 {
		return
	}
	if r.policy.Block.ReasonWithoutAlternative == "" {
		r.wrong(block, "apps are blocked but none is approved to be used instead: approve one, or give a reason_without_alternative")
	}
}

func (r *reader) approved(n *yaml.Node) {
	var a Approved
	present := r.mapping(n, "an approved app",
		field{"name", r.text("name", &a.Name)},
		field{"ios", func(n *yaml.Node) { r.ios(n, &a.IOS) }},
		field{"purpose", r.text("purpose", &a.Purpose)},
		field{"owner", r.text("owner", &a.Owner)},
		field{"dpia", r.text("dpia", &a.DPIA)},
		field{"retention", r.text("retention", &a.Retention)},
		field{"review_by", r.date("review_by", &a.ReviewBy)},
		field{"required", r.boolean("required", &a.Required)},
		field{"needs_certificate", r.boolean("needs_certificate", &a.NeedsCertificate)},
		field{"config", func(n *yaml.Node) {
			if n.Kind != yaml.MappingNode {
				r.wrong(n, "config must be a dictionary")
				return
			}
			if dict, ok := r.value(n, "config", 0).(map[string]any); ok {
				a.Config = dict
			}
		}},
	)
	if n.Kind != yaml.MappingNode {
		return
	}
	who := a.Name
	if who == "" {
		who = "an approved app"
	}
	r.record(n, who, a, present)
	for _, other := range r.policy.Approved {
		if a.IOS.BundleID != "" && other.IOS.BundleID == a.IOS.BundleID {
			r.wrong(n, "%s has the bundle id of %s: %s", who, other.Name, a.IOS.BundleID)
		}
	}
	token := uses(a.Config, TokenVariable)
	if a.NeedsCertificate && !token {
		r.wrong(n, "%s needs a certificate, so its config must hold {{%s}}", who, TokenVariable)
	}
	if token && !a.NeedsCertificate {
		r.wrong(n, "%s is given {{%s}} but does not say needs_certificate: true", who, TokenVariable)
	}
	r.policy.Approved = append(r.policy.Approved, a)
}

// record asks for what information governance wants to know before an app is approved.
// A field that is there but wrong was reported already and is not missed twice.
func (r *reader) record(n *yaml.Node, who string, a Approved, present map[string]bool) {
	for _, needed := range []struct {
		name   string
		filled bool
	}{
		{"name", a.Name != ""},
		{"ios", present["ios"]},
		{"purpose", a.Purpose != ""},
		{"owner", a.Owner != ""},
		{"dpia", a.DPIA != ""},
		{"retention", a.Retention != ""},
		{"review_by", present["review_by"]},
	} {
		if !needed.filled {
			r.wrong(n, "%s has no %s: an app is approved only with its full record", who, needed.name)
		}
	}
}

var bundleID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,154}$`)

func (r *reader) ios(n *yaml.Node, into *IOSApp) {
	var store string
	present := r.mapping(n, "ios",
		field{"bundle_id", r.text("bundle_id", &into.BundleID)},
		field{"app_store_id", func(n *yaml.Node) {
			if n.Kind == yaml.ScalarNode {
				store = n.Value
			}
			id, err := strconv.ParseInt(store, 10, 64)
			if err != nil || id <= 0 {
				r.wrong(n, "app_store_id must be the number of the app in the App Store")
				return
			}
			into.StoreID = id
		}},
		field{"manifest_url", func(n *yaml.Node) {
			r.text("manifest_url", &into.ManifestURL)(n)
			r.manifest(n, into.ManifestURL)
		}},
	)
	if n.Kind != yaml.MappingNode {
		return
	}
	if !bundleID.MatchString(into.BundleID) {
		r.wrong(n, "ios needs a bundle_id of letters, digits, dots and hyphens, such as org.example.app")
	}
	if present["app_store_id"] == present["manifest_url"] {
		r.wrong(n, "ios needs either app_store_id or manifest_url")
	}
}

func (r *reader) manifest(n *yaml.Node, url string) {
	const server = "{{server.url}}/"
	rest, onServer := strings.CutPrefix(url, server)
	if !onServer {
		var ok bool
		if rest, ok = strings.CutPrefix(url, "https://"); !ok || rest == "" {
			r.wrong(n, "manifest_url must begin with https:// or %s", server)
		}
	}
	if strings.ContainsAny(rest, "{} \t\n") {
		r.wrong(n, "manifest_url may hold {{server.url}} at its beginning only, and no space")
	}
}

func (r *reader) lost(n *yaml.Node) {
	w := &r.policy.Lost
	r.mapping(n, "lost",
		field{"message", r.text("message", &w.Message)},
		field{"phone", r.text("phone", &w.Phone)},
		field{"footnote", r.text("footnote", &w.Footnote)},
	)
}

func (r *reader) containment(n *yaml.Node) {
	c := &r.policy.Containment
	var fields []field
	for name, into := range map[string]*bool{
		"managed_open_in": &c.ManagedOpenIn, "managed_pasteboard": &c.ManagedPasteboard,
		"airdrop_unmanaged": &c.AirDropUnmanaged, "no_screenshots": &c.NoScreenshots,
		"no_lock_screen_previews": &c.NoLockScreenPreviews, "no_backup": &c.NoBackup,
		"no_imessage": &c.NoIMessage, "no_rcs": &c.NoRCS,
	} {
		fields = append(fields, field{name, r.boolean(name, into)})
	}
	sortFields(fields)
	r.mapping(n, "containment", fields...)
	// Apple's text for both keys: they act only where open-in is restricted.
	for name, on := range map[string]bool{"managed_pasteboard": c.ManagedPasteboard, "airdrop_unmanaged": c.AirDropUnmanaged} {
		if on && !c.ManagedOpenIn {
			r.wrong(n, "%s does nothing without managed_open_in: true", name)
		}
	}
}
