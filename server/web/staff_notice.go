package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// staffNotice is a notice in one language.
type staffNotice struct {
	For        string // which phones it is for; empty for all
	Lang       string
	Lead, Rest []string // paragraphs; Rest is folded away
}

// staffLanguage is a language in which the notice can be read.
type staffLanguage struct {
	Code, Name string // Name in the language itself
	Current    bool
}

// english is the language that every notice has, and that of the page.
const english = "en"

// notices chooses the notice's language. Where work phones and people's own have notices
// of their own, both are told: nobody knows yet who reads.
func (v *staffPage) notices(r *http.Request, p *profiles.Policy) {
	work, own := p.Notices(ward.Device{Ownership: ward.Corporate}), p.Notices(ward.Device{Ownership: ward.Personal})
	offered := slices.Sorted(maps.Keys(work))
	for code := range own {
		if !slices.Contains(offered, code) {
			offered = append(offered, code)
		}
	}
	slices.SortFunc(offered, func(a, b string) int {
		if (a == english) != (b == english) {
			return map[bool]int{true: -1, false: 1}[a == english]
		}
		return strings.Compare(a, b)
	})
	lang := chooseLanguage(r, offered)
	if len(offered) > 1 {
		for _, code := range offered {
			v.Languages = append(v.Languages, staffLanguage{code, languageName(code), code == lang})
		}
	}
	add := func(whose string, texts map[string]string) {
		if len(texts) == 0 {
			return
		}
		n := staffNotice{For: whose, Lang: lang}
		if texts[lang] == "" {
			n.Lang = english
		}
		n.Lead, n.Rest = fold(texts[n.Lang])
		v.Notices, v.Foreign = append(v.Notices, n), v.Foreign || n.Lang != english
	}
	if maps.Equal(work, own) {
		add("", work)
		return
	}
	add("On a work phone", work)
	add("On your own phone", own)
}

// chooseLanguage returns what the address asks for by ?lang=, else what the browser
// prefers of what is offered, else English. A header that can't be read prefers nothing.
func chooseLanguage(r *http.Request, offered []string) string {
	if asked := r.URL.Query().Get("lang"); slices.Contains(offered, asked) {
		return asked
	}
	wanted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(wanted) == 0 {
		return english
	}
	codes, tags := []string{english}, []language.Tag{language.English} // the first is for who wants none of them
	for _, code := range offered {
		if tag, err := language.Parse(code); err == nil && code != english { // one that is not registered is chosen by its link only
			codes, tags = append(codes, code), append(tags, tag)
		}
	}
	_, i, _ := language.NewMatcher(tags).Match(wanted...)
	return codes[i]
}

// languageName is the language's name in itself, or its code where it has none.
func languageName(code string) string {
	tag, err := language.Parse(code)
	if err != nil {
		return code
	}
	if name := display.Self.Name(tag); name != "" {
		return name
	}
	return code
}

// How much of a notice, in bytes, stands open on the page, and from what length on the
// rest is folded away.
const (
	noticeLead = 600
	noticeLong = 900
)

// fold splits a notice into paragraphs, and a long one into what stands open and the
// rest: after a paragraph, or in a long paragraph after a sentence.
func fold(text string) (lead, rest []string) {
	var size int
	for _, par := range paragraphs(text) {
		switch room := noticeLead - size; {
		case len(text) <= noticeLong || len(rest) == 0 && len(par) <= room:
			lead = append(lead, par)
		case len(lead) > 0:
			rest = append(rest, par)
		default:
			first, more := sentences(par, room)
			lead = append(lead, first)
			if more != "" {
				rest = append(rest, more)
			}
		}
		size += len(par)
	}
	return lead, rest
}

func paragraphs(text string) (out []string) {
	var par []string
	end := func() {
		if len(par) > 0 {
			out, par = append(out, strings.Join(par, "\n")), nil
		}
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			end()
			continue
		}
		par = append(par, line)
	}
	end()
	return out
}

// sentences cuts a paragraph after the last sentence that ends within size bytes, or
// nowhere if none does.
func sentences(par string, size int) (first, more string) {
	cut := 0
	for i := range par {
		if i >= size {
			break
		}
		if (par[i] == '.' || par[i] == '!' || par[i] == '?') && i+1 < len(par) && (par[i+1] == ' ' || par[i+1] == '\n') {
			cut = i + 1
		}
	}
	if cut == 0 {
		return par, ""
	}
	return par[:cut], strings.TrimSpace(par[cut:])
}
