package agent_test

import (
	"context"
	"fmt"

	"github.com/wardmdm/ward/agent"
)

// A handler sees the request type and the Command dictionary, and says what to answer.
func ExampleHandler() {
	h := agent.HandlerFunc(func(_ context.Context, c agent.Command) agent.Response {
		if c.RequestType != "DeviceLock" {
			return agent.Response{Status: agent.Error, ErrorChain: []agent.ErrorItem{{ErrorCode: 12021, ErrorDomain: "MCMDMErrorDomain"}}}
		}
		fmt.Println("locking:", c.String("Message"))
		return agent.Response{Status: agent.Acknowledged}
	})
	c, err := agent.ParseCommand([]byte(`<plist version="1.0"><dict>
		<key>CommandUUID</key><string>C-1</string>
		<key>Command</key><dict>
			<key>RequestType</key><string>DeviceLock</string>
			<key>Message</key><string>Please return me to Ward 7</string>
		</dict></dict></plist>`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(h.Handle(context.Background(), c).Status)
	// Output:
	// locking: Please return me to Ward 7
	// Acknowledged
}
