package source_test

import (
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/source"
)

func ExampleParse() {
	p, err := source.Parse([]byte(`
name: Messaging
approved:
  - name: Chat
    ios: {bundle_id: org.example.chat, app_store_id: 123456789}
    purpose: Messages about patients
    owner: CCIO
    dpia: DPIA-2026-014
    retention: 30 days
    review_by: 2027-11-30
block:
  apps: [whatsapp]
`), source.Inputs{})
	if err != nil {
		fmt.Println(err)
		return
	}
	settled := p.Settle(ward.Device{Platform: ward.IOS}, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
	for _, app := range settled.Wanted.Block.Apps {
		fmt.Println("kept off:", app.Name)
	}
	for _, o := range settled.Origins[:2] {
		fmt.Printf("%s:%d %s\n", o.File, o.Line, o.Path)
	}
	// Output:
	// kept off: WhatsApp
	// policy.yaml:4 approved[Chat]
	// policy.yaml:12 block.apps[whatsapp]
}
