"""Where ``amass-joints``, and ``python -m amass_joints``, begin."""

from amass_joints.interrupts import end_on_signals


def main() -> None:
    """Run the program."""
    end_on_signals()  # before anything is imported that takes long
    from amass_joints import cli

    cli.main()


if __name__ == "__main__":
    main()
