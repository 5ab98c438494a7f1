# The policy of a site that has none of its own.
#
# A site that names no approver answers by itself what its ethics boards approved
# and its release gate lets out. One that names approvers has them see every
# question before it runs, but not twice: what one of them approved for a
# researcher, and none of them refused, that researcher may ask again.
package trialmesh.approval

decision := {"decision": "automatic", "reason": "the site names no approver"} if {
	input.approvers == 0
} else := {"decision": "automatic", "reason": "a person approved this question of this researcher before"} if {
	approved
	not refused
} else := {"decision": "human", "gates": ["run"], "reason": "a person at the site sees each question before it runs"}

approved if {
	some verdict in input.earlier
	verdict.researcher == input.researcher
	verdict.approved
}

refused if {
	some verdict in input.earlier
	not verdict.approved
}
