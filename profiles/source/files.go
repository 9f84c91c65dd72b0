package source

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// The sizes in bytes above which a file that a policy names is refused unread.
const (
	maxOwnProfile  = 1 << 20
	maxCertificate = 64 << 10
	maxIcon        = 256 << 10
)

// attached returns a file that the policy names, and notes its name. Names are relative
// and lead nowhere but down, so that a policy can't name what the reader may not see.
func (r *reader) attached(n *yaml.Node, what string, most int) ([]byte, bool) {
	name, ok := r.scalar(n, what)
	switch {
	case !ok:
		return nil, false
	case name == "":
		r.wrong(n, "%s names no file", what)
		return nil, false
	case !fs.ValidPath(name) || name == ".":
		r.wrong(n, "%s must name a file beside the policy or in a folder there: %q", what, name)
		return nil, false
	}
	r.files[name] = true
	data, ok := r.inputs.Files[name]
	switch {
	case r.inputs.Unread[name] != "":
		r.wrong(n, "the file %q can't be read: %s", name, r.inputs.Unread[name])
		return nil, false
	case !ok:
		r.wrong(n, "the file %q was not found", name)
		return nil, false
	case len(data) > most:
		r.wrong(n, "the file %q is larger than %d bytes", name, most)
		return nil, false
	}
	return data, true
}

// fileShape is the name of a file; read gets what is in it.
func (r *reader) fileShape(what string, most int, read func(*yaml.Node, []byte)) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			if data, ok := r.attached(n, what, most); ok {
				read(n, data)
			}
			return true
		},
		schema: func(s *definitions) schema {
			return s.define("file", func() schema {
				return schema{"type": []any{"string", "number", "boolean"}, "pattern": `^[^/].*$`, "description": "The name of a file, relative to the policy's folder."}
			})
		},
	}
}

// certificates reads files of PEM certificates.
func (r *reader) certificates(what string, into *[][]byte) shape {
	return r.oneOrMore(what, func() shape {
		return r.fileShape(what, maxCertificate, func(n *yaml.Node, data []byte) {
			found := false
			for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
				if block.Type != "CERTIFICATE" {
					r.wrong(n, "the file %q holds a %s; only certificates belong there", n.Value, block.Type)
					return
				}
				if _, err := x509.ParseCertificate(block.Bytes); err != nil {
					r.wrong(n, "the file %q holds a certificate that can't be read: %v", n.Value, err)
					return
				}
				found = true
				if !slices.ContainsFunc(*into, func(c []byte) bool { return bytes.Equal(c, block.Bytes) }) {
					*into = append(*into, block.Bytes)
				}
			}
			if !found {
				r.wrong(n, "the file %q holds no certificate in PEM form", n.Value)
			}
		})
	})
}

func (r *reader) icon(into *[]byte) shape {
	return r.fileShape("icon", maxIcon, func(n *yaml.Node, data []byte) {
		if !bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
			r.wrong(n, "the file %q is no PNG picture", n.Value)
			return
		}
		*into = data
	})
}

// ownProfile reads one .mobileconfig that the organisation wrote itself.
func (r *reader) ownProfile(o *intent.Own, name *string) shape {
	var data []byte
	var platform string
	return r.object(object{
		what: "a profile", who: name, doc: "A configuration profile (.mobileconfig) of the organisation's own, unsigned.",
		fields: []field{
			needed(field{name: "name", shape: r.text("name", name)}),
			needed(field{name: "platform", shape: r.choice("platform", []string{string(ward.IOS), string(ward.MacOS)}, &platform)}),
			needed(field{name: "file", shape: r.fileShape("file", maxOwnProfile, func(n *yaml.Node, raw []byte) {
				types, problems := checkProfile(raw)
				for _, problem := range problems {
					r.wrong(n, "the file %q %s", n.Value, problem)
				}
				data, o.Types = raw, types
			})}),
		},
		check: func(*yaml.Node, map[string]bool) {
			o.Name, o.Platform, o.Data = *name, ward.Platform(platform), data
		},
	})
}
