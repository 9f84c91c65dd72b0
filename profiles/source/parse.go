package source

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// MaxSize is the size in bytes above which a policy file is refused unread.
const MaxSize = 1 << 20

// Inputs are what stands beside the policy file.
type Inputs struct {
	File  string            // its name in origins; "policy.yaml" if empty
	Files map[string][]byte // the files that the policy names, by their names as written
	// Unread says of files that are there why they could not be read, in words that follow
	// "can't be read: ".
	Unread map[string]string
}

// Parse reads a policy file. If the file is wrong the error is a *ward.Error of the kind
// Invalid whose Details list every mistake with its line, its column and, for a name, the
// nearest right one; a mistake in another file begins with that file's name.
func Parse(data []byte, in Inputs) (*Policy, error) {
	root, err := decode(data)
	if err != nil {
		return nil, err
	}
	if in.File == "" {
		in.File = "policy.yaml"
	}
	r := newReader(catalogue.Builtin(), &layer{name: "the policy", file: in.File})
	r.inputs = in
	if root.extra {
		r.wrong(root.node, "the file must hold one document; what follows --- would be ignored")
	}
	r.extend(root.node)
	r.object(r.policyObject()).read(root.node)
	if err := r.err(); err != nil {
		return nil, err
	}
	r.policy.build()
	return r.policy, nil
}

// Named returns the names of the files that a policy names, sorted, so that they can be
// read and given to Parse. It fails only where data is no YAML.
func Named(data []byte) ([]string, error) {
	root, err := decode(data)
	if err != nil {
		return nil, err
	}
	r := newReader(catalogue.Builtin(), &layer{name: "the policy"})
	r.extend(root.node)
	r.object(r.policyObject()).read(root.node)
	return slices.Sorted(maps.Keys(r.files)), nil
}

// document as it was decoded.
type decoded struct {
	node  *yaml.Node
	extra bool // another document follows
}

func decode(data []byte) (decoded, error) {
	if len(data) > MaxSize {
		return decoded{}, ward.Errorf(ward.Invalid, "The policy file is larger than %d bytes.", MaxSize)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return decoded{}, ward.Errorf(ward.Invalid, "The policy file is empty.")
		}
		return decoded{}, &ward.Error{
			Kind: ward.Invalid, Message: "The policy file is not YAML.",
			Details: []string{strings.TrimPrefix(err.Error(), "yaml: ")},
		}
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return decoded{}, ward.Errorf(ward.Invalid, "The policy file is empty.")
	}
	extra := !errors.Is(dec.Decode(&yaml.Node{}), io.EOF)
	return decoded{node: root.Content[0], extra: extra}, nil
}

// reader reads one policy file into a Policy, layer by layer.
type reader struct {
	document
	policy     *Policy
	catalogue  *catalogue.Catalogue
	categories []string // those that can be blocked
	allNames   []string // of the catalogue, once they were asked for
	inputs     Inputs
	layer      *layer            // what is being read
	files      map[string]bool   // names that were met
	owners     map[string]string // identifiers of the register, to the app's name
	mentioned  []mention
	unclear    bool // a block has mistakes: what it comes to is not known
}

// mention is where a group is named before all groups are known.
type mention struct {
	group string
	at    place
}

func newReader(c *catalogue.Catalogue, l *layer) *reader {
	r := &reader{policy: &Policy{Lost: LostWords{Escalation: intent.DefaultEscalation()}}, layer: l, files: map[string]bool{}, owners: map[string]string{}}
	r.policy.own = l
	r.know(c)
	return r
}

func (r *reader) know(c *catalogue.Catalogue) {
	r.catalogue, r.policy.Catalogue, r.allNames = c, c, nil
	r.categories = slices.DeleteFunc(c.Categories(), func(name string) bool { return name == clinical })
}

// names lists slugs and aliases, for suggestions.
func (r *reader) names() []string {
	if r.allNames == nil {
		r.allNames = r.catalogue.Names()
	}
	return r.allNames
}

// extend takes the site's own catalogue in before anything that names its apps is read.
func (r *reader) extend(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Value != "catalogue" || value.Kind != yaml.ScalarNode || null(value) {
			continue
		}
		data, ok := r.attached(value, "catalogue", MaxSize)
		if !ok {
			return
		}
		c, err := catalogue.Extend(r.catalogue, value.Value, data)
		if err != nil {
			r.adopt(err)
			return
		}
		r.know(c)
		return
	}
}

// policyObject is the whole file.
func (r *reader) policyObject() object {
	p := r.policy
	own := r.layer
	return object{
		what: "the policy", doc: "What is wanted of the devices of an organisation.",
		fields: slices.Concat([]field{
			needed(field{name: "name", doc: "The name that staff read in Settings.", shape: r.text("name", &p.Name)}),
			{name: "note", doc: "What is new in this version.", shape: r.text("note", &p.Note)},
			{name: "baseline", doc: "Built-in settings to start from; the policy lies over them.", shape: r.oneOrMore("baseline", r.baseline)},
			{name: "catalogue", doc: "A file with apps that the site adds to the catalogue.", shape: r.catalogueName()},
			{name: "approved", doc: "The register of approved apps.", shape: r.list("approved", r.approved)},
		}, r.sections(own), []field{
			{name: "groups", doc: "What differs for some devices. Later groups lie over earlier ones.", shape: r.list("groups", r.group)},
			{name: "exceptions", doc: "Written approvals that lift the block of an app for a time.", shape: r.list("exceptions", r.exception)},
			{name: "lost", shape: r.lost()},
		}),
		check: func(n *yaml.Node, present map[string]bool) { r.complete(n, present) },
	}
}

// catalogueName was dealt with by extend where it is a name.
func (r *reader) catalogueName() shape {
	return shape{
		read: func(n *yaml.Node) bool {
			if n.Kind != yaml.ScalarNode {
				r.wrong(n, "catalogue must be the name of a file")
			}
			return true
		},
		schema: r.fileShape("catalogue", MaxSize, nil).schema,
	}
}

// sections are the parts of the file that a baseline, the policy and a group may have.
func (r *reader) sections(l *layer) []field {
	return []field{
		{name: "notice", doc: "What staff read: why, what to use instead, whom to ask. Text, or texts by language.", shape: r.notice(l)},
		{name: "block", shape: r.block(l)},
		{name: "containment", shape: r.switches("containment", &l.containment, l, "true switches on what keeps work data where it belongs.")},
		{name: "hardening", shape: r.switches("hardening", &l.hardening, l, "true switches on what keeps the device itself sound.")},
		{name: "posture", shape: r.posture(l)},
		{name: "networks", shape: r.networks(l)},
		{name: "web_clips", doc: "Links on the home screen.", shape: r.list("web_clips", func() shape { return named(r, "web_clips", &l.clips, r.webClip) })},
		{name: "staff_page", doc: "A link to the page for staff on the home screen: true for Ward's own, or an address.", shape: r.staffPage(l)},
		{name: "updates", shape: r.updates(l)},
		{name: "profiles", doc: "Configuration profiles of the organisation's own.", shape: r.list("profiles", func() shape { return named[intent.Own](r, "profiles", &l.own, r.ownProfile) })},
	}
}
