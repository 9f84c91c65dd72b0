package workstation

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// judge decides as AppLocker does: what is denied never runs, and of the rest what is
// allowed. It reads the document by itself.
type judge struct {
	Collections []struct {
		Type      string      `xml:"Type,attr"`
		Mode      string      `xml:"EnforcementMode,attr"`
		Publisher []judgeRule `xml:"FilePublisherRule"`
		Path      []judgeRule `xml:"FilePathRule"`
	} `xml:"RuleCollection"`
}

type judgeRule struct {
	ID         string    `xml:"Id,attr"`
	SID        string    `xml:"UserOrGroupSid,attr"`
	Action     string    `xml:"Action,attr"`
	Conditions judgeOn   `xml:"Conditions"`
	Exceptions []judgeOn `xml:"Exceptions"`
}

type judgeOn struct {
	Publisher *struct {
		Publisher string `xml:"PublisherName,attr"`
		Product   string `xml:"ProductName,attr"`
	} `xml:"FilePublisherCondition"`
	Path *struct {
		Path string `xml:"Path,attr"`
	} `xml:"FilePathCondition"`
}

// glob matches an AppLocker path, in which * stands for anything, without case.
func glob(pattern, path string) bool {
	pattern, path = strings.ToLower(pattern), strings.ToLower(path)
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == path
	}
	if !strings.HasPrefix(path, first) {
		return false
	}
	for i := len(first); i <= len(path); i++ {
		if glob(rest, path[i:]) {
			return true
		}
	}
	return false
}

// paths are the names by which AppLocker's variables call one place.
func paths(path string) []string {
	all := []string{path}
	for _, v := range []struct{ dir, name string }{
		{`C:\Windows\`, `%WINDIR%\`}, {`C:\Program Files\`, `%PROGRAMFILES%\`},
	} {
		if rest, ok := strings.CutPrefix(path, v.dir); ok {
			all = append(all, v.name+rest)
		}
	}
	return all
}

func (on judgeOn) meets(publisher, product, path string) bool {
	if p := on.Publisher; p != nil {
		return product != "" && (p.Publisher == "*" || p.Publisher == publisher) && (p.Product == "*" || strings.EqualFold(p.Product, product))
	}
	return on.Path != nil && path != "" && slices.ContainsFunc(paths(path), func(s string) bool { return glob(on.Path.Path, s) })
}

func (j judge) runs(publisher, product, path string, admin bool) bool {
	allowed := false
	for _, c := range j.Collections {
		if (c.Type == "Appx") != (product != "") || c.Mode != "Enabled" {
			continue
		}
		for _, r := range slices.Concat(c.Publisher, c.Path) {
			excepted := slices.ContainsFunc(r.Exceptions, func(on judgeOn) bool { return on.meets(publisher, product, path) })
			if excepted || r.SID == administrators && !admin || !r.Conditions.meets(publisher, product, path) {
				continue
			}
			if r.Action == "Deny" {
				return false
			}
			allowed = true
		}
	}
	return allowed
}

func locker(t *testing.T, w intent.Wanted) judge {
	t.Helper()
	r := compile(t, w, target(ward.Windows, ward.Corporate))
	i := slices.IndexFunc(r.Documents, func(d intent.Artifact) bool { return d.Name == LockerDocument })
	if i < 0 {
		t.Fatal("there is no AppLocker document")
	}
	var j judge
	if err := xml.Unmarshal(r.Documents[i].Data, &j); err != nil {
		t.Fatal(err)
	}
	return j
}

func TestAppLocker(t *testing.T) {
	t.Parallel()
	whatsApp := publishers["cv1g1gvanyjgm"]
	microsoft := publishers["8wekyb3d8bbwe"]
	for _, tt := range []struct {
		name                     string
		publisher, product, path string
		admin                    bool
		deny, allow              bool // whether it runs under a deny list, and an allow list
	}{
		{"a blocked packaged app", whatsApp, "5319275A.WhatsAppDesktop", "", false, false, false},
		{"a blocked packaged app whose publisher is not known", "CN=Telegram", "TelegramMessengerLLP.TelegramDesktop", "", false, false, false},
		{"a blocked app of which only the name is known", "CN=Viber", "2414FC7A.Viber", "", true, false, false},
		{"one that has a blocked name and another publisher", "CN=Else", "5319275A.WhatsAppDesktop", "", false, true, false},
		{"the Microsoft Store", microsoft, "Microsoft.WindowsStore", "", false, false, true},
		{"another app of Microsoft's", microsoft, "Microsoft.WindowsCalculator", "", false, true, true},
		{"another packaged app", "CN=Else", "Else.App", "", false, true, false},
		{"a listed packaged app", "CN=Else", "Microsoft.GroupMe10", "", false, true, true},
		{"the approved packaged app", "CN=Example", "Example.Chat", "", false, true, true},
		{"a blocked program", "", "", `C:\Users\a\AppData\Local\WhatsApp\whatsapp.EXE`, false, false, false},
		{"a blocked program for an administrator", "", "", `C:\Program Files\Telegram\Telegram.exe`, true, false, false},
		{"a blocked program that is listed as allowed", "", "", `C:\Users\a\Downloads\Telegram.exe`, false, false, false},
		{"a blocked program on a stick", "", "", `E:\Viber.exe`, false, false, false},
		{"a program of Windows with a blocked name", "", "", `C:\Windows\System32\Viber.exe`, false, true, true},
		{"the approved program", "", "", `C:\Users\a\AppData\Local\Chat\Chat.exe`, false, true, true},
		{"a listed program", "", "", `C:\Users\a\Downloads\Reader.exe`, false, true, true},
		{"an installed program", "", "", `C:\Program Files\Office\word.exe`, false, true, true},
		{"a downloaded program", "", "", `C:\Users\a\Downloads\game.exe`, false, true, false},
		{"a downloaded program for an administrator", "", "", `C:\Users\a\Downloads\game.exe`, true, true, true},
		{"a program whose name ends in a blocked one", "", "", `C:\Users\a\NotTelegram.exe`, false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := locker(t, everything()).runs(tt.publisher, tt.product, tt.path, tt.admin); got != tt.deny {
				t.Errorf("under a deny list it runs: %t, want %t", got, tt.deny)
			}
			if got := locker(t, allowList()).runs(tt.publisher, tt.product, tt.path, tt.admin); got != tt.allow {
				t.Errorf("under an allow list it runs: %t, want %t", got, tt.allow)
			}
		})
	}
}

// TestRuleIDs makes sure that ids are UUIDs, used once, and that a rule keeps its id when
// others come.
func TestRuleIDs(t *testing.T) {
	t.Parallel()
	ids := func(w intent.Wanted) map[string]bool {
		seen := map[string]bool{}
		for _, c := range locker(t, w).Collections {
			for _, r := range slices.Concat(c.Publisher, c.Path) {
				if id, err := uuid.Parse(r.ID); err != nil || id.Version() != 5 {
					t.Errorf("id %q is no UUID of version 5: %v", r.ID, err)
				}
				if seen[r.ID] {
					t.Errorf("id %s is used twice", r.ID)
				}
				seen[r.ID] = true
			}
		}
		return seen
	}
	all := ids(everything())
	fewer := everything()
	fewer.Block.Apps = fewer.Block.Apps[:2]
	for id := range ids(fewer) {
		if !all[id] {
			t.Errorf("rule %s changed its id when others came", id)
		}
	}
}
