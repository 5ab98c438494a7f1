package trialmesh.approval_test

import data.trialmesh.approval

test_no_approver_is_automatic if {
	approval.decision.decision == "automatic" with input as {"approvers": 0, "researcher": "did:a", "earlier": []}
}

test_first_question_waits_before_the_run if {
	d := approval.decision with input as {"approvers": 1, "researcher": "did:a", "earlier": []}
	d.decision == "human"
	d.gates == ["run"]
}

test_approved_before_is_automatic if {
	d := approval.decision with input as {"approvers": 1, "researcher": "did:a", "earlier": [{"researcher": "did:a", "approved": true}]}
	d.decision == "automatic"
}

test_approval_is_for_one_researcher if {
	d := approval.decision with input as {"approvers": 1, "researcher": "did:b", "earlier": [{"researcher": "did:a", "approved": true}]}
	d.decision == "human"
}

test_a_refusal_outweighs_an_approval if {
	d := approval.decision with input as {
		"approvers": 2, "researcher": "did:a",
		"earlier": [{"researcher": "did:a", "approved": true}, {"researcher": "did:b", "approved": false}],
	}
	d.decision == "human"
}

test_missing_input_waits if {
	approval.decision.decision == "human" with input as {}
}
