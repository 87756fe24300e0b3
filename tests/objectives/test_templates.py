"""Sentences around a class's name or a caption."""

from pointlab.objectives.templates import TEMPLATES, prompts_of, sentences_on


def test_recon_has_sixty_prompts_of_a_class_and_none_of_them_is_held_out() -> None:
    prompts = prompts_of("night_stand")
    assert len(set(prompts)) == 60
    assert prompts[0] == "night stand."
    assert "A point cloud model of a night stand with black context." in prompts
    every = [prompt for templates in TEMPLATES for prompt in prompts_of("night_stand", templates)]
    assert len(every) == len(set(every))
    assert all("night stand" in prompt for prompt in every)


def test_a_text_stays_as_it_is_within_its_templates() -> None:
    assert sentences_on("a {} with_legs", "plain") == ("a {} with_legs",)
    assert sentences_on("a {} with_legs", "recon")[0] == "a {} with_legs."
