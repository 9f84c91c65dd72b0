package workstation

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// An AppLocker policy, as Set-AppLockerPolicy and the AppLocker CSP take it.
// Source: https://learn.microsoft.com/windows/client-management/mdm/applocker-csp
type lockerPolicy struct {
	XMLName     xml.Name     `xml:"AppLockerPolicy"`
	Version     string       `xml:"Version,attr"`
	Collections []collection `xml:"RuleCollection"`
}

type collection struct {
	Type      string       `xml:"Type,attr"`
	Mode      string       `xml:"EnforcementMode,attr"`
	Publisher []lockerRule `xml:"FilePublisherRule"`
	Path      []lockerRule `xml:"FilePathRule"`
}

type lockerRule struct {
	ID          string     `xml:"Id,attr"`
	Name        string     `xml:"Name,attr"`
	Description string     `xml:"Description,attr"`
	SID         string     `xml:"UserOrGroupSid,attr"`
	Action      string     `xml:"Action,attr"`
	Conditions  condition  `xml:"Conditions"`
	Exceptions  *condition `xml:"Exceptions"`
}

type condition struct {
	Publisher *publisherCondition `xml:"FilePublisherCondition"`
	Path      *pathCondition      `xml:"FilePathCondition"`
}

type publisherCondition struct {
	Publisher string       `xml:"PublisherName,attr"`
	Product   string       `xml:"ProductName,attr"`
	Binary    string       `xml:"BinaryName,attr"`
	Range     versionRange `xml:"BinaryVersionRange"`
}

type versionRange struct {
	Low  string `xml:"LowSection,attr"`
	High string `xml:"HighSection,attr"`
}

type pathCondition struct {
	Path string `xml:"Path,attr"`
}

// Who a rule is for: https://learn.microsoft.com/windows-server/identity/ad-ds/manage/understand-security-identifiers
const (
	everyone       = "S-1-1-0"
	administrators = "S-1-5-32-544"
)

// anywhere is a program's file name in any folder of any drive.
// Source: https://learn.microsoft.com/windows/security/application-security/application-control/app-control-for-business/applocker/understanding-the-path-rule-condition-in-applocker
func anywhere(name string) condition { return byPath(`*\` + name) }

// rule makes a rule whose id is derived from what it says: the same rule has the same id
// on every computer and in every version of the policy.
func rule(action, sid, name string, on condition, except *condition) lockerRule {
	var what string
	if on.Path != nil {
		what = on.Path.Path
	} else {
		what = on.Publisher.Publisher + "\x00" + on.Publisher.Product
	}
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/wardmdm/ward/applocker"))
	id := uuid.NewSHA1(space, []byte(strings.Join([]string{action, sid, what}, "\x00")))
	return lockerRule{ID: id.String(), Name: name, SID: sid, Action: action, Conditions: on, Exceptions: except}
}

func byPublisher(publisher, product string) condition {
	return condition{Publisher: &publisherCondition{Publisher: publisher, Product: product, Binary: "*", Range: versionRange{"*", "*"}}}
}

func byPath(path string) condition { return condition{Path: &pathCondition{path}} }

// lockerDocument makes the rules for Windows, where there is anything to deny.
func (c *compiler) lockerDocument() ([]intent.Artifact, error) {
	denied := slices.Clone(c.denied)
	for _, r := range c.policy.Block {
		denied = append(denied, r.Identity)
	}
	only := c.policy.Mode == AllowList
	if !c.governs(ward.Windows) || len(denied) == 0 && !only {
		return nil, nil
	}
	apps, programs := collection{Type: "Appx", Mode: "Enabled"}, collection{Type: "Exe", Mode: "Enabled"}
	base(&apps, &programs, only)
	if only {
		for _, i := range c.policy.Allow {
			add(&apps, &programs, "Allow", i)
		}
	}
	for _, i := range denied {
		add(&apps, &programs, "Deny", i)
	}
	tidy(&apps)
	tidy(&programs)
	data, err := xml.MarshalIndent(lockerPolicy{Version: "1", Collections: []collection{apps, programs}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write AppLocker rules: %w", err)
	}
	c.policy.AppLocker = LockerDocument
	return []intent.Artifact{{Name: LockerDocument, Kind: "agent-policy", Data: append(data, '\n')}}, nil
}

// base lets run what no other rule speaks of: a collection with rules denies all that
// none of them allows. Where only listed apps run, that is what Windows brings and what
// lies where only administrators write.
func base(apps, programs *collection, only bool) {
	if !only {
		apps.Publisher = append(apps.Publisher, rule("Allow", everyone, "All signed packaged apps", byPublisher("*", "*"), nil))
		programs.Path = append(programs.Path, rule("Allow", everyone, "All programs", byPath("*"), nil))
		return
	}
	for _, id := range []string{"8wekyb3d8bbwe", "cw5n1h2txyewy"} {
		apps.Publisher = append(apps.Publisher, rule("Allow", everyone, "Packaged apps of Windows", byPublisher(publishers[id], "*"), nil))
	}
	programs.Path = append(programs.Path,
		rule("Allow", everyone, "Programs of Windows", byPath(`%WINDIR%\*`), nil),
		rule("Allow", everyone, "Programs installed for all", byPath(`%PROGRAMFILES%\*`), nil),
		rule("Allow", administrators, "All programs, for administrators", byPath("*"), nil))
}

// add makes the rule of one identity. A package whose publisher is not known goes by its
// name alone. A denied file name never meets a program of Windows.
func add(apps, programs *collection, action string, i Identity) {
	if product := i.packageName(); product != "" {
		publisher := i.Publisher
		if publisher == "" {
			publisher = "*"
		}
		apps.Publisher = append(apps.Publisher, rule(action, everyone, action+" "+product, byPublisher(publisher, product), nil))
		return
	}
	var except *condition
	if action == "Deny" {
		windows := byPath(`%WINDIR%\*`)
		except = &windows
	}
	programs.Path = append(programs.Path, rule(action, everyone, action+" "+i.Executable, anywhere(i.Executable), except))
}

// tidy sorts rules by what they say and takes out repetitions.
func tidy(c *collection) {
	for _, rules := range []*[]lockerRule{&c.Publisher, &c.Path} {
		slices.SortStableFunc(*rules, func(a, b lockerRule) int {
			return strings.Compare(a.Action+a.Name+a.ID, b.Action+b.Name+b.ID)
		})
		*rules = slices.CompactFunc(*rules, func(a, b lockerRule) bool { return a.ID == b.ID })
	}
}
