package workstation_test

import (
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/workstation"
)

func ExampleCompile() {
	wanted := intent.Wanted{Block: intent.Block{Web: []string{"web.whatsapp.com"}}}
	r, err := workstation.Compile(wanted, intent.Target{Platform: ward.Linux, Enrolment: intent.ByAgent, Ownership: ward.Corporate})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range workstation.Artifacts(r) {
		fmt.Println(d.Kind, d.Name)
	}
	// Output:
	// agent-policy agent-policy.json
	// browser-policy chrome.json
	// browser-policy edge.json
	// browser-policy firefox-policies.json
}
